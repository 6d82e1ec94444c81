"""The life of a job as a pure function: no clock, no I/O, and an answer to everything.

    QUEUED → RUNNING → SUCCEEDED | FAILED        QUEUED | RUNNING → CANCELLED        RUNNING → QUEUED (retry)

Terminal states absorb. Whatever is said in the name of an attempt that is not the job's current one changes nothing. A message
that is late, doubled or out of order gets a named verdict, never an exception. The states × messages table is in
`docs/job-lifecycle.md`; `tests/unit/test_lifecycle_table.py` is the same table, executed.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from contracts.attempts import (
    AttemptFailed,
    AttemptReport,
    AttemptStageChanged,
    AttemptStarted,
    AttemptSucceeded,
)
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, WorkerId
from contracts.jobs import (
    JobCancelled,
    JobCancelling,
    JobCancelRequested,
    JobError,
    JobEvent,
    JobFailed,
    JobQueued,
    JobRequested,
    JobRetryScheduled,
    JobSpec,
    JobStageChanged,
    JobStarted,
    JobSucceeded,
)
from contracts.states import AttemptStatus, JobStatus
from orchestrator.job import Attempt, Job
from orchestrator.retry import backoff


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The dispatcher chose this job: its next attempt goes on the bus."""

    job_id: JobId
    attempt_id: AttemptId


@dataclass(frozen=True, slots=True)
class LeaseLapsed:
    """No heartbeat renewed the attempt's lease in time."""

    job_id: JobId
    attempt_id: AttemptId


@dataclass(frozen=True, slots=True)
class ExecutionOverdue:
    """The attempt ran past its execution timeout and its worker did not stop it."""

    job_id: JobId
    attempt_id: AttemptId


@dataclass(frozen=True, slots=True)
class QueueDeadlinePassed:
    job_id: JobId


Timer: TypeAlias = LeaseLapsed | ExecutionOverdue | QueueDeadlinePassed
Report: TypeAlias = AttemptStarted | AttemptStageChanged | AttemptSucceeded | AttemptFailed
Input: TypeAlias = JobRequested | JobCancelRequested | Report | Dispatch | Timer


class Verdict(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """It had been said before; nothing changed."""
    FENCED = "fenced"
    """Said in the name of an attempt that is not current, or by a worker that does not hold it."""
    TERMINAL = "terminal"
    """The job is over."""
    UNKNOWN_JOB = "unknown_job"
    """Its request has not arrived, or the job was removed long ago."""
    FOREIGN = "foreign"
    """Asked for by somebody who does not own the job."""
    NOT_DUE = "not_due"
    """A timer that no longer applies: renewed, already dispatched, already gone."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Tell this worker to stop this attempt."""

    worker_id: WorkerId
    job_id: JobId
    attempt_id: AttemptId
    reason: FailureCode


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    job: Job | None
    """The job as it is now."""
    events: tuple[JobEvent, ...] = ()
    ended: Attempt | None = None
    """The attempt that ended by this, with its outcome; the job no longer holds it."""
    abort: Abort | None = None
    retell: bool = False
    """The sender seems not to know what became of the job: its events must be told again."""


@dataclass(frozen=True, slots=True)
class Rules:
    lease_ttl: timedelta
    execution_grace: timedelta
    """How much longer than the execution timeout to wait for the worker's own report of it."""


def decide(job: Job | None, message: Input, now: datetime, rules: Rules) -> Decision:
    """What `message` does to `job` at `now`. Total: every job and every message has a decision."""
    if isinstance(message, JobRequested):
        return _accept(job, message, now)
    if job is None:
        return Decision(Verdict.UNKNOWN_JOB, None, abort=_abort_reporter(message, FailureCode.WORKER_LOST))
    if job.status.is_terminal:
        return Decision(Verdict.TERMINAL, job, abort=_abort_reporter(message, FailureCode.CANCELLED))
    match message:
        case JobCancelRequested():
            return _cancel(job, message, now)
        case Dispatch():
            return _dispatch(job, message, now)
        case QueueDeadlinePassed():
            return _queue_deadline(job, now)
        case LeaseLapsed() | ExecutionOverdue():
            return _attempt_timer(job, message, now)
        case AttemptStarted() | AttemptStageChanged() | AttemptSucceeded() | AttemptFailed():
            return _report(job, message, now, rules)


# --- requests ---


def _accept(job: Job | None, message: JobRequested, now: datetime) -> Decision:
    if job is not None:
        return Decision(Verdict.DUPLICATE, job, retell=True)
    spec = message.job
    accepted = Job(
        spec=spec,
        status=JobStatus.QUEUED,
        seq=0,
        accepted_at=now,
        queue_deadline_at=_queue_deadline_from(now, spec),
    )
    return _Story(accepted, now).tell(JobQueued, job=spec).decision()


def _cancel(job: Job, message: JobCancelRequested, now: datetime) -> Decision:
    if message.user_id != job.spec.user_id:
        return Decision(Verdict.FOREIGN, job)
    running = _running(job)
    if running is None:
        return _Story(job, now).end_attempt(AttemptStatus.ABORTED, FailureCode.CANCELLED).cancelled().decision()
    abort = _abort(job, running, FailureCode.CANCELLED)
    if job.cancel_requested:  # said again: the first abort may have been lost
        return Decision(Verdict.DUPLICATE, job, abort=abort)
    story = _Story(replace(job, cancel_requested=True), now)
    return story.tell(JobCancelling, attempt_id=running.attempt_id).decision(abort=abort)


# --- the dispatcher and its timers ---


def _dispatch(job: Job, message: Dispatch, now: datetime) -> Decision:
    waits = job.status is JobStatus.QUEUED and job.current is None
    if not waits or (job.not_before is not None and job.not_before > now):
        return Decision(Verdict.NOT_DUE, job)
    attempt = Attempt(message.attempt_id, job.attempts_made + 1, AttemptStatus.DISPATCHED, dispatched_at=now)
    return Decision(Verdict.APPLIED, replace(job, current=attempt, attempts_made=attempt.number, not_before=None))


def _queue_deadline(job: Job, now: datetime) -> Decision:
    due = job.status is JobStatus.QUEUED and job.queue_deadline_at is not None and job.queue_deadline_at <= now
    if not due:
        return Decision(Verdict.NOT_DUE, job)
    message = "The job waited longer than its queue deadline. Try again later, or allow it to wait longer."
    story = _Story(job, now).end_attempt(AttemptStatus.ABORTED, FailureCode.QUEUE_TIMEOUT)
    return story.failed(FailureCode.QUEUE_TIMEOUT, message).decision()


def _attempt_timer(job: Job, timer: LeaseLapsed | ExecutionOverdue, now: datetime) -> Decision:
    running = _running(job)
    if running is None or running.attempt_id != timer.attempt_id:
        return Decision(Verdict.NOT_DUE, job)
    lapsed = isinstance(timer, LeaseLapsed)
    due_at = running.lease_expires_at if lapsed else running.deadline_at
    if due_at is None or due_at > now:
        return Decision(Verdict.NOT_DUE, job)
    if lapsed:
        code, status = FailureCode.WORKER_LOST, AttemptStatus.LOST
        message = f"Worker {running.worker_id} was not heard of for a whole lease."
    else:
        code, status = FailureCode.EXECUTION_TIMEOUT, AttemptStatus.FAILED
        message = f"The attempt ran longer than {job.spec.policy.execution_timeout_seconds:g} s."
    abort = _abort(job, running, code)
    return (
        _Story(job, now).end_attempt(status, code, message).retry_or_fail(code, message, running).decision(abort=abort)
    )


# --- what workers report ---


def _report(job: Job, report: Report, now: datetime, rules: Rules) -> Decision:
    current = job.current
    if current is None or current.attempt_id != report.attempt_id or current.worker_id not in {None, report.worker_id}:
        return Decision(Verdict.FENCED, job, abort=_abort_reporter(report, FailureCode.WORKER_LOST))
    story = _Story(job, now)
    if current.status is AttemptStatus.DISPATCHED:
        # Also where a later report overtook AttemptStarted: it proves the start.
        story.start(report, rules)
    elif isinstance(report, AttemptStarted):
        return Decision(Verdict.DUPLICATE, job)
    match report:
        case AttemptStarted():
            return story.decision()
        case AttemptStageChanged():
            if job.stage is report.stage:
                return Decision(Verdict.DUPLICATE, job)
            return story.stage(report).decision()
        case AttemptSucceeded():
            # A cancel that has not stopped the worker in time lost the race: the result stands.
            return story.end_attempt(AttemptStatus.SUCCEEDED).succeeded(report).decision()
        case AttemptFailed():
            attempt = story.job.current
            assert attempt is not None
            aborted = report.code in {FailureCode.CANCELLED, FailureCode.WORKER_SHUTDOWN}
            status = AttemptStatus.ABORTED if aborted else AttemptStatus.FAILED
            story.end_attempt(status, report.code, report.message)
            return story.retry_or_fail(report.code, report.message, attempt).decision()


class _Story:
    """Collects the steps of one decision: each changes the job, and most are told as an event with the next `seq`."""

    def __init__(self, job: Job, now: datetime) -> None:
        self.job = job
        self._now = now
        self._events: list[JobEvent] = []
        self._ended: Attempt | None = None

    def decision(self, abort: Abort | None = None) -> Decision:
        return Decision(Verdict.APPLIED, self.job, tuple(self._events), self._ended, abort)

    def tell(self, event_type: type[JobEvent], **fields: Any) -> "_Story":
        self.job = replace(self.job, seq=self.job.seq + 1)
        spec = self.job.spec
        self._events.append(
            event_type(
                job_id=spec.job_id,
                seq=self.job.seq,
                user_id=spec.user_id,
                model_id=spec.model_id,
                occurred_at=self._now,
                state=self.job.state,
                **fields,
            )
        )
        return self

    def start(self, report: AttemptReport, rules: Rules) -> "_Story":
        assert self.job.current is not None
        timeout = timedelta(seconds=self.job.spec.policy.execution_timeout_seconds)
        started = replace(
            self.job.current,
            status=AttemptStatus.STARTED,
            worker_id=report.worker_id,
            started_at=self._now,
            lease_expires_at=self._now + rules.lease_ttl,
            deadline_at=self._now + timeout + rules.execution_grace,
        )
        self.job = replace(
            self.job, status=JobStatus.RUNNING, current=started, stage=None, started_at=self.job.started_at or self._now
        )
        return self.tell(JobStarted, attempt_id=started.attempt_id, worker_id=report.worker_id)

    def stage(self, report: AttemptStageChanged) -> "_Story":
        self.job = replace(self.job, stage=report.stage)
        return self.tell(JobStageChanged, attempt_id=report.attempt_id)

    def end_attempt(
        self, status: AttemptStatus, code: FailureCode | None = None, message: str | None = None
    ) -> "_Story":
        if self.job.current is not None:
            self._ended = replace(
                self.job.current, status=status, ended_at=self._now, failure_code=code, failure_message=message
            )
            never_taken = self.job.current.status is AttemptStatus.DISPATCHED
            self.job = replace(self.job, current=None, attempts_made=self.job.attempts_made - never_taken)
        return self

    def succeeded(self, report: AttemptSucceeded) -> "_Story":
        self._complete(JobStatus.SUCCEEDED)
        self.job = replace(self.job, winning_attempt_id=report.attempt_id)
        return self.tell(
            JobSucceeded,
            attempt_id=report.attempt_id,
            outputs=report.outputs,
            stage_durations_ms=report.stage_durations_ms,
            facts=report.facts,
        )

    def failed(self, code: FailureCode, message: str) -> "_Story":
        self._complete(JobStatus.FAILED, JobError(code=code, message=message, retryable=code.is_retryable))
        return self.tell(JobFailed)

    def cancelled(self) -> "_Story":
        self.job = replace(self.job, cancel_requested=True)
        self._complete(JobStatus.CANCELLED)
        return self.tell(JobCancelled)

    def retry_or_fail(self, code: FailureCode, message: str, attempt: Attempt) -> "_Story":
        if self.job.cancel_requested:
            return self.cancelled()
        # CANCELLED without a cancel: the worker was told to stop an attempt that is current after all. Nobody's fault.
        handed_back = code in {FailureCode.WORKER_SHUTDOWN, FailureCode.CANCELLED}
        handbacks = self.job.handbacks + handed_back
        failed_attempts = self.job.attempts_made - handbacks
        if not handed_back and (not code.is_retryable or failed_attempts >= self.job.spec.policy.max_attempts):
            return self.failed(code, message)
        wait = timedelta(0) if handed_back else backoff(self.job.spec.policy, failed_attempts, attempt.attempt_id)
        retry_at = self._now + wait
        self.job = replace(
            self.job,
            status=JobStatus.QUEUED,
            stage=None,
            handbacks=handbacks,
            not_before=retry_at,
            # It bounds a wait, and a new one begins: the time the lost attempt ran was no waiting.
            queue_deadline_at=_queue_deadline_from(retry_at, self.job.spec),
        )
        failure = JobError(code=code, message=message, retryable=True)
        return self.tell(
            JobRetryScheduled,
            attempt_id=attempt.attempt_id,
            failure=failure,
            retry_at=retry_at,
            worker_id=attempt.worker_id,
        )

    def _complete(self, status: JobStatus, error: JobError | None = None) -> None:
        self.job = replace(self.job, status=status, completed_at=self._now, error=error, not_before=None)


def _queue_deadline_from(since: datetime, spec: JobSpec) -> datetime | None:
    patience = spec.policy.queue_timeout_seconds
    return since + timedelta(seconds=patience) if patience is not None else None


def _running(job: Job) -> Attempt | None:
    """The attempt a worker has taken, if any."""
    current = job.current
    return current if current is not None and current.status is AttemptStatus.STARTED else None


def _abort(job: Job, attempt: Attempt, reason: FailureCode) -> Abort:
    assert attempt.worker_id is not None
    return Abort(attempt.worker_id, job.job_id, attempt.attempt_id, reason)


def _abort_reporter(message: Input, reason: FailureCode) -> Abort | None:
    """A worker that reports for an attempt which is not its own to run must let go of it, unless it just has."""
    if isinstance(message, AttemptStarted | AttemptStageChanged):
        return Abort(message.worker_id, message.job_id, message.attempt_id, reason)
    return None

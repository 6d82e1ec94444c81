"""The life of a job as a pure function: no clock, no I/O, and an answer to everything.

    QUEUED → RUNNING → SUCCEEDED | FAILED        QUEUED | RUNNING → CANCELLED        RUNNING → QUEUED (retry)

Terminal states absorb. Whatever is said in the name of an attempt that is not the job's current one changes nothing. A message
that is late, doubled or out of order gets a named verdict, never an exception. The states × messages table is in
`docs/job-lifecycle.md`; `tests/unit/test_lifecycle_table.py` is the same table, executed.
"""

from dataclasses import replace
from datetime import datetime

from contracts.attempts import (
    AttemptFailed,
    AttemptStageChanged,
    AttemptStarted,
    AttemptSucceeded,
)
from contracts.failures import FailureCode
from contracts.jobs import (
    JobCancelling,
    JobCancelRequested,
    JobQueued,
    JobRequested,
)
from contracts.states import AttemptStatus, JobStatus
from orchestrator.decision import (
    Abort,
    Decision,
    Dispatch,
    ExecutionOverdue,
    Input,
    LeaseLapsed,
    QueueDeadlinePassed,
    Report,
    Rules,
    Verdict,
)
from orchestrator.job import Attempt, Job
from orchestrator.story import Story, queue_deadline_from


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
        queue_deadline_at=queue_deadline_from(now, spec),
    )
    return Story(accepted, now).tell(JobQueued, job=spec).decision()


def _cancel(job: Job, message: JobCancelRequested, now: datetime) -> Decision:
    if message.user_id != job.spec.user_id:
        return Decision(Verdict.FOREIGN, job)
    running = _running(job)
    if running is None:
        return Story(job, now).end_attempt(AttemptStatus.ABORTED, FailureCode.CANCELLED).cancelled().decision()
    abort = _abort(job, running, FailureCode.CANCELLED)
    if job.cancel_requested:  # said again: the first abort may have been lost
        return Decision(Verdict.DUPLICATE, job, abort=abort)
    story = Story(replace(job, cancel_requested=True), now)
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
    story = Story(job, now).end_attempt(AttemptStatus.ABORTED, FailureCode.QUEUE_TIMEOUT)
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
        Story(job, now).end_attempt(status, code, message).retry_or_fail(code, message, running).decision(abort=abort)
    )


# --- what workers report ---


def _report(job: Job, report: Report, now: datetime, rules: Rules) -> Decision:
    current = job.current
    if current is None or current.attempt_id != report.attempt_id or current.worker_id not in {None, report.worker_id}:
        return Decision(Verdict.FENCED, job, abort=_abort_reporter(report, FailureCode.WORKER_LOST))
    story = Story(job, now)
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

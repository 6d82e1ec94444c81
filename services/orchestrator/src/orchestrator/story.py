"""One decision in the making: each step changes the job, and most are told as an event."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from contracts.attempts import (
    AttemptReport,
    AttemptStageChanged,
    AttemptSucceeded,
)
from contracts.failures import FailureCode
from contracts.jobs import (
    JobCancelled,
    JobError,
    JobEvent,
    JobFailed,
    JobRetryScheduled,
    JobSpec,
    JobStageChanged,
    JobStarted,
    JobSucceeded,
)
from contracts.states import AttemptStatus, JobStatus
from orchestrator.decision import Abort, Decision, Rules, Verdict
from orchestrator.job import Attempt, Job
from orchestrator.retry import backoff

_FREE_HANDBACKS = 3
"""A rolling restart hands back at once. A worker that returns everything it gets must not make a job go round in circles."""


class Story:
    """Collects the steps of one decision: each changes the job, and most are told as an event with the next `seq`."""

    def __init__(self, job: Job, now: datetime) -> None:
        self.job = job
        self._now = now
        self._events: list[JobEvent] = []
        self._ended: Attempt | None = None

    def decision(self, abort: Abort | None = None) -> Decision:
        return Decision(Verdict.APPLIED, self.job, tuple(self._events), self._ended, abort)

    def tell(self, event_type: type[JobEvent], **fields: Any) -> "Story":
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

    def start(self, report: AttemptReport, rules: Rules) -> "Story":
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

    def stage(self, report: AttemptStageChanged) -> "Story":
        self.job = replace(self.job, stage=report.stage)
        return self.tell(JobStageChanged, attempt_id=report.attempt_id)

    def end_attempt(
        self, status: AttemptStatus, code: FailureCode | None = None, message: str | None = None
    ) -> "Story":
        if self.job.current is not None:
            self._ended = replace(
                self.job.current, status=status, ended_at=self._now, failure_code=code, failure_message=message
            )
            never_taken = self.job.current.status is AttemptStatus.DISPATCHED
            self.job = replace(self.job, current=None, attempts_made=self.job.attempts_made - never_taken)
        return self

    def succeeded(self, report: AttemptSucceeded) -> "Story":
        self._complete(JobStatus.SUCCEEDED)
        self.job = replace(self.job, winning_attempt_id=report.attempt_id)
        return self.tell(
            JobSucceeded,
            attempt_id=report.attempt_id,
            outputs=report.outputs,
            stage_durations_ms=report.stage_durations_ms,
            facts=report.facts,
        )

    def failed(self, code: FailureCode, message: str) -> "Story":
        self._complete(JobStatus.FAILED, JobError(code=code, message=message, retryable=code.is_retryable))
        return self.tell(JobFailed)

    def cancelled(self) -> "Story":
        self.job = replace(self.job, cancel_requested=True)
        self._complete(JobStatus.CANCELLED)
        return self.tell(JobCancelled)

    def retry_or_fail(self, code: FailureCode, message: str, attempt: Attempt) -> "Story":
        if self.job.cancel_requested:
            return self.cancelled()
        # CANCELLED without a cancel: the worker was told to stop an attempt that is current after all. Nobody's fault.
        handed_back = code in {FailureCode.WORKER_SHUTDOWN, FailureCode.CANCELLED}
        handbacks = self.job.handbacks + handed_back
        failed_attempts = self.job.attempts_made - handbacks
        if not handed_back and (not code.is_retryable or failed_attempts >= self.job.spec.policy.max_attempts):
            return self.failed(code, message)
        failed = max(handbacks - _FREE_HANDBACKS, 0) if handed_back else failed_attempts
        if code is FailureCode.WORKER_LOST and failed == 1:
            failed = 0  # the job has waited for a whole lease already, and a machine that died says nothing about it
        wait = backoff(self.job.spec.policy, failed, attempt.attempt_id) if failed else timedelta(0)
        retry_at = self._now + wait
        self.job = replace(
            self.job,
            status=JobStatus.QUEUED,
            stage=None,
            handbacks=handbacks,
            not_before=retry_at,
            # It bounds a wait, and a new one begins: the time the lost attempt ran was no waiting.
            queue_deadline_at=queue_deadline_from(retry_at, self.job.spec),
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


def queue_deadline_from(since: datetime, spec: JobSpec) -> datetime | None:
    patience = spec.policy.queue_timeout_seconds
    return since + timedelta(seconds=patience) if patience is not None else None

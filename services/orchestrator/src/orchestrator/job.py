"""A job and its current attempt, as the lifecycle sees them: values, never changed in place."""

from dataclasses import dataclass
from datetime import datetime

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, WorkerId
from contracts.jobs import JobError, JobSpec, JobState
from contracts.states import AttemptStatus, JobStatus, Stage


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a job, or the promise of one."""

    attempt_id: AttemptId
    number: int
    status: AttemptStatus
    dispatched_at: datetime
    worker_id: WorkerId | None = None
    """Known once it is STARTED; from then on nobody else may speak for it."""
    started_at: datetime | None = None
    lease_expires_at: datetime | None = None
    """Renewed by heartbeats, behind the lifecycle's back."""
    deadline_at: datetime | None = None
    """When a started attempt is given up, heartbeats or not."""
    ended_at: datetime | None = None
    failure_code: FailureCode | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    spec: JobSpec
    status: JobStatus
    seq: int
    """Of its latest event; gapless from 1."""
    accepted_at: datetime
    current: Attempt | None = None
    """The attempt whose word counts: DISPATCHED or STARTED. None while waiting and once over."""
    attempts_made: int = 0
    handbacks: int = 0
    """Attempts returned by workers that were stopping; they do not count against `max_attempts`."""
    stage: Stage | None = None
    cancel_requested: bool = False
    not_before: datetime | None = None
    """The next attempt waits until then: retry back-off."""
    queue_deadline_at: datetime | None = None
    """When it has waited too long; counted anew each time it returns to the queue."""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: JobError | None = None
    winning_attempt_id: AttemptId | None = None
    traceparent: str | None = None
    """W3C trace context of the request; everything done for the job belongs to its trace."""

    @property
    def job_id(self) -> JobId:
        return self.spec.job_id

    @property
    def state(self) -> JobState:
        """What the job's events tell the world."""
        not_yet_taken = self.current is not None and self.current.status is AttemptStatus.DISPATCHED
        return JobState(
            status=self.status,
            stage=self.stage,
            attempt=self.attempts_made - 1 if not_yet_taken else self.attempts_made,
            cancel_requested=self.cancel_requested,
            started_at=self.started_at,
            completed_at=self.completed_at,
            error=self.error,
        )

"""What is said about jobs: the gateway's requests and the orchestrator's facts."""

from typing import Annotated

from pydantic import Field

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, ObjectName, UserId, WorkerId
from contracts.message import JsonObject, Message, Timestamp, Value
from contracts.outputs import OutputFile
from contracts.states import JobStatus, Stage

LONGEST_TIMEOUT_SECONDS = 10 * 366 * 24 * 3600
"""Ten years: nobody waits longer, and a deadline is still a date that every service can calculate with."""

TimeoutSeconds = Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT_SECONDS)]


class JobPolicy(Value):
    """How patient to be with a job: the model's entry in the catalogue, lowered by the caller where they asked for it."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    execution_timeout_seconds: TimeoutSeconds = 3600.0
    queue_timeout_seconds: TimeoutSeconds | None = None
    """None: a job may wait for ever."""
    retry_backoff_seconds: Annotated[float, Field(ge=0)] = 2.0
    """Before the second attempt; doubled before each further one, with jitter."""


class JobSpec(Value):
    """The part of a job that never changes: what was asked for, by whom, and how patiently."""

    job_id: JobId
    user_id: UserId
    model_id: ModelId
    input_params: JsonObject
    """Merged with the model's defaults and valid against its schema."""
    prompt: str | None = None
    input_object: ObjectName | None = None
    """The uploaded image, for models that take one."""
    priority: int = 0
    """Higher runs first."""
    policy: JobPolicy = JobPolicy()
    requested_at: Timestamp


class JobError(Value):
    """Why a job failed, for its owner."""

    code: FailureCode
    message: str
    """A sentence a person can act on."""
    retryable: bool
    """Whether the same request may succeed another time."""


class JobState(Value):
    """The part of a job that changes, as it was after the event that carries it."""

    status: JobStatus
    stage: Stage | None = None
    attempt: int = 0
    """How many attempts were started; 0 until the first worker took the job."""
    cancel_requested: bool = False
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    error: JobError | None = None


class JobRequested(Message):
    """Gateway → orchestrator: take responsibility for this job. Said again with the same id, it changes nothing."""

    routing_key = "job.requested"

    job: JobSpec


class JobCancelRequested(Message):
    """Gateway → orchestrator: its owner no longer wants this job."""

    routing_key = "job.cancel_requested"

    job_id: JobId
    user_id: UserId
    requested_at: Timestamp


class JobEvent(Message):
    """A fact about a job, the `seq`-th. Apply it only if it is newer than what you hold: the state in it is complete."""

    job_id: JobId
    seq: Annotated[int, Field(ge=1)]
    """Gapless per job, from 1."""
    user_id: UserId
    model_id: ModelId
    occurred_at: Timestamp
    state: JobState


class JobQueued(JobEvent):
    """The job was accepted. Carries all of it, so that the log alone rebuilds any view."""

    routing_key = "job.queued"

    job: JobSpec


class JobStarted(JobEvent):
    routing_key = "job.started"

    attempt_id: AttemptId
    worker_id: WorkerId


class JobStageChanged(JobEvent):
    routing_key = "job.stage_changed"

    attempt_id: AttemptId


class JobRetryScheduled(JobEvent):
    """An attempt ended without a result; the job waits for its next one."""

    routing_key = "job.retry_scheduled"

    attempt_id: AttemptId
    failure: JobError
    retry_at: Timestamp
    worker_id: WorkerId | None = None
    """Who had the attempt that ended."""


class JobCancelling(JobEvent):
    """Cancellation was asked for while a worker runs the job; it ends when the worker lets go or its lease lapses."""

    routing_key = "job.cancelling"

    attempt_id: AttemptId


class JobSucceeded(JobEvent):
    """The outputs of the winning attempt are stored, verified and registered."""

    routing_key = "job.succeeded"

    attempt_id: AttemptId
    outputs: tuple[OutputFile, ...]
    stage_durations_ms: dict[Stage, float]
    facts: dict[str, float]


class JobFailed(JobEvent):
    """For good. `state.error` says why."""

    routing_key = "job.failed"


class JobCancelled(JobEvent):
    routing_key = "job.cancelled"


JOB_EVENTS: tuple[type[JobEvent], ...] = (
    JobQueued,
    JobStarted,
    JobStageChanged,
    JobRetryScheduled,
    JobCancelling,
    JobSucceeded,
    JobFailed,
    JobCancelled,
)
"""Every fact about a job, in the order of a life."""

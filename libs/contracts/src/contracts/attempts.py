"""What is said about attempts: the orchestrator's commands and the workers' reports."""

from typing import Annotated

from pydantic import Field

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, ObjectName, UserId, WorkerId
from contracts.message import JsonObject, Message, Percent, Timestamp
from contracts.outputs import OutputFile
from contracts.states import Stage


class RunAttempt(Message):
    """Orchestrator → whichever worker serves the model: run this attempt. May arrive more than once."""

    routing_key = "attempt.run"

    job_id: JobId
    attempt_id: AttemptId
    attempt: Annotated[int, Field(ge=1)]
    """The first attempt of a job is 1."""
    user_id: UserId
    model_id: ModelId
    input_params: JsonObject
    prompt: str | None = None
    input_object: ObjectName | None = None
    execution_timeout_seconds: float


class AbortAttempt(Message):
    """Orchestrator → the one worker that runs it: stop. The attempt is cancelled, out of time, or no longer current."""

    routing_key = "attempt.abort"

    job_id: JobId
    attempt_id: AttemptId
    reason: FailureCode


class AttemptReport(Message):
    """Something a worker says in the name of an attempt. It counts only while that attempt is current."""

    job_id: JobId
    attempt_id: AttemptId
    worker_id: WorkerId
    reported_at: Timestamp
    """The worker's clock: for people, never for decisions."""


class AttemptStarted(AttemptReport):
    """From here on the attempt has a lease, renewed by the worker's heartbeats."""

    routing_key = "attempt.started"


class AttemptStageChanged(AttemptReport):
    """Said only for stages long enough to be worth a row in the log."""

    routing_key = "attempt.stage_changed"

    stage: Stage


class AttemptProgressed(AttemptReport):
    """Telemetry: not persistent, rate-limited at the source, the latest wins."""

    routing_key = "attempt.progressed"

    attempt: int
    stage: Stage
    percent: Percent
    """Of the whole attempt."""


class AttemptSucceeded(AttemptReport):
    """Said only after the outputs are uploaded, verified and registered."""

    routing_key = "attempt.succeeded"

    outputs: tuple[OutputFile, ...]
    stage_durations_ms: dict[Stage, float]
    facts: Annotated[dict[str, float], Field(default_factory=dict)]
    """What the engine counted, such as vertices and triangles."""


class AttemptFailed(AttemptReport):
    routing_key = "attempt.failed"

    code: FailureCode
    message: str

"""Lives of jobs as the orchestrator tells them, and the messages they arrive in."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from analytics.rows import Delivery
from contracts.cloudevents import CONTENT_TYPE, codec, wrap
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, UserId, WorkerId
from contracts.jobs import (
    JobCancelled,
    JobCancelling,
    JobError,
    JobEvent,
    JobFailed,
    JobQueued,
    JobRetryScheduled,
    JobSpec,
    JobStarted,
    JobState,
    JobSucceeded,
)
from contracts.outputs import ArtifactKind, OutputFile
from contracts.states import JobStatus, Stage

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
ALICE, BOB = (UserId(UUID(int=number)) for number in (1, 2))
OUTPUT = OutputFile(
    name="model.glb", kind=ArtifactKind.MODEL, content_type="model/gltf-binary", size_bytes=1000, sha256="0a" * 32
)


class JobStory:
    """Tells events one after the other; each method is one, `after` the one before by so many seconds."""

    def __init__(self, number: int, *, user: UserId = ALICE, model: str = "sf3d-v1", at: datetime = NOON) -> None:
        self.job_id = JobId(UUID(int=1000 + number))
        self.events: list[JobEvent] = []
        self._user, self._model, self._now = user, ModelId(model), at
        self._attempt = 0
        self._started_at: datetime | None = None
        spec = JobSpec(
            job_id=self.job_id,
            user_id=user,
            model_id=self._model,
            input_params={"steps": 3},
            prompt="A “chair”",
            requested_at=at,
        )
        self._tell(JobQueued, 0, JobStatus.QUEUED, job=spec)

    @property
    def attempt_id(self) -> AttemptId:
        return AttemptId(UUID(int=self.job_id.int * 100 + self._attempt))

    def started(self, after: float, worker: str = "w-1") -> "JobStory":
        self._attempt += 1
        self._started_at = self._started_at or self._now + timedelta(seconds=after)
        return self._tell(JobStarted, after, JobStatus.RUNNING, attempt_id=self.attempt_id, worker_id=WorkerId(worker))

    def retried(self, after: float, code: FailureCode = FailureCode.OUT_OF_MEMORY, worker: str = "w-1") -> "JobStory":
        failure = JobError(code=code, message="Once more.", retryable=True)
        at = self._now + timedelta(seconds=after)
        return self._tell(
            JobRetryScheduled,
            after,
            JobStatus.QUEUED,
            attempt_id=self.attempt_id,
            failure=failure,
            retry_at=at,
            worker_id=WorkerId(worker),
        )

    def succeeded(self, after: float) -> "JobStory":
        return self._tell(
            JobSucceeded,
            after,
            JobStatus.SUCCEEDED,
            attempt_id=self.attempt_id,
            outputs=(OUTPUT, OUTPUT),
            stage_durations_ms={Stage.GENERATE: 812.5},
            facts={"triangles": 9996.0},
        )

    def failed(self, after: float, code: FailureCode = FailureCode.ENGINE_FAILED) -> "JobStory":
        error = JobError(code=code, message="It is over.", retryable=code.is_retryable)
        return self._tell(JobFailed, after, JobStatus.FAILED, error)

    def cancelling(self, after: float) -> "JobStory":
        return self._tell(JobCancelling, after, JobStatus.RUNNING, attempt_id=self.attempt_id)

    def cancelled(self, after: float) -> "JobStory":
        return self._tell(JobCancelled, after, JobStatus.CANCELLED)

    def _tell(
        self,
        event_type: type[JobEvent],
        after: float,
        status: JobStatus,
        error: JobError | None = None,
        **fields: object,
    ) -> "JobStory":
        self._now += timedelta(seconds=after)
        state = JobState(
            status=status,
            attempt=self._attempt,
            started_at=self._started_at,
            completed_at=self._now if status.is_terminal else None,
            error=error,
        )
        common = {"job_id": self.job_id, "user_id": self._user, "model_id": self._model, "occurred_at": self._now}
        self.events.append(event_type(**common, seq=len(self.events) + 1, state=state, **fields))
        return self


def message(events: Sequence[JobEvent]) -> bytes:
    """As the relay publishes events of one type."""
    envelopes = [
        wrap(
            event, event_id=f"{event.job_id}/{event.seq}", source="/orchestrator", subject=str(event.job_id), time=NOON
        )
        for event in events
    ]
    return codec(type(events[0])).encode(envelopes)


def delivery(body: bytes, offset: int = 0) -> Delivery:
    return Delivery(body, CONTENT_TYPE, offset, NOON + timedelta(days=3))


def deliveries(events: Iterable[JobEvent]) -> list[Delivery]:
    """One message per event, in this order."""
    return [delivery(message([event]), offset) for offset, event in enumerate(events)]

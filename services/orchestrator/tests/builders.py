"""What the gateway, the workers and the dispatcher say, as tests need it: valid, with only what matters left to name."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts.attempts import AttemptFailed, AttemptStageChanged, AttemptStarted, AttemptSucceeded
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, UserId, WorkerId
from contracts.jobs import JobCancelRequested, JobPolicy, JobRequested, JobSpec
from contracts.outputs import ArtifactKind, OutputFile
from contracts.states import Stage
from orchestrator.decision import Rules

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = Rules(lease_ttl=timedelta(seconds=15), execution_grace=timedelta(seconds=10))
MODEL = ModelId("simulated-v1")
OWNER, STRANGER = UserId(UUID(int=0xA)), UserId(UUID(int=0xB))
WORKER, OTHER_WORKER = WorkerId("worker-1"), WorkerId("worker-2")
GLB = OutputFile(
    name="model.glb", kind=ArtifactKind.MODEL, content_type="model/gltf-binary", size_bytes=1234, sha256="ab" * 32
)


def a_spec(job_id: UUID | None = None, *, user_id: UserId = OWNER, priority: int = 0, **policy: Any) -> JobSpec:
    """A job of `user_id`; the rest names fields of its policy, and `model_id`."""
    return JobSpec(
        job_id=JobId(job_id or uuid4()),
        user_id=user_id,
        model_id=policy.pop("model_id", MODEL),
        input_params={"duration_seconds": 0, "nested": {"list": [1, 2.5, None, "ü"]}},
        priority=priority,
        policy=JobPolicy(**policy),
        requested_at=T0,
    )


def requested(spec: JobSpec) -> JobRequested:
    return JobRequested(job=spec)


def cancel(job_id: JobId, user_id: UserId = OWNER) -> JobCancelRequested:
    return JobCancelRequested(job_id=job_id, user_id=user_id, requested_at=T0)


def started(job_id: JobId, attempt_id: AttemptId, worker_id: WorkerId = WORKER) -> AttemptStarted:
    return AttemptStarted(job_id=job_id, attempt_id=attempt_id, worker_id=worker_id, reported_at=T0)


def stage_changed(
    job_id: JobId, attempt_id: AttemptId, worker_id: WorkerId = WORKER, stage: Stage = Stage.GENERATE
) -> AttemptStageChanged:
    return AttemptStageChanged(job_id=job_id, attempt_id=attempt_id, worker_id=worker_id, reported_at=T0, stage=stage)


def succeeded(job_id: JobId, attempt_id: AttemptId, worker_id: WorkerId = WORKER) -> AttemptSucceeded:
    return AttemptSucceeded(
        job_id=job_id,
        attempt_id=attempt_id,
        worker_id=worker_id,
        reported_at=T0,
        outputs=(GLB,),
        stage_durations_ms={Stage.GENERATE: 12.5},
        facts={"triangles": 12.0},
    )


def failed(
    job_id: JobId,
    attempt_id: AttemptId,
    code: FailureCode = FailureCode.ENGINE_CRASHED,
    worker_id: WorkerId = WORKER,
) -> AttemptFailed:
    return AttemptFailed(
        job_id=job_id, attempt_id=attempt_id, worker_id=worker_id, reported_at=T0, code=code, message="It broke."
    )

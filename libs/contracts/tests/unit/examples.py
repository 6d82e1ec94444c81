"""One full example of every message: each optional field is set, so that the golden payloads show all of them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from contracts import attempts, jobs, workers
from contracts.cloudevents import CloudEvent, wrap
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, ObjectName, UserId, WorkerId
from contracts.message import Message
from contracts.outputs import ArtifactKind, OutputFile
from contracts.states import JobStatus, Stage

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
T1 = datetime(2026, 3, 1, 12, 0, 7, 250_000, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JOB = JobId(UUID("01957f00-0000-7000-8000-000000000001"))
ATTEMPT = AttemptId(UUID("01957f00-0000-7000-8000-000000000002"))
USER = UserId(UUID("01957f00-0000-7000-8000-000000000003"))
MODEL, WORKER = ModelId("silhouette-v1"), WorkerId("worker-a1b2")
INPUT = ObjectName(f"uploads/{USER}/photo.jpg")
OUTPUT = OutputFile(
    name="model.glb", kind=ArtifactKind.MODEL, content_type="model/gltf-binary", size_bytes=123_456, sha256="0a" * 32
)
SPEC = jobs.JobSpec(
    job_id=JOB,
    user_id=USER,
    model_id=MODEL,
    input_params={"image_path": INPUT, "texture_resolution": 1024, "foreground_ratio": 0.85, "remesh": None},
    prompt="A wooden chair – “Stuhl”",
    input_object=INPUT,
    priority=5,
    policy=jobs.JobPolicy(
        max_attempts=3, execution_timeout_seconds=600.0, queue_timeout_seconds=3600.0, retry_backoff_seconds=2.5
    ),
    requested_at=T0,
)
ERROR = jobs.JobError(code=FailureCode.OUT_OF_MEMORY, message="The GPU ran out of memory.", retryable=True)


def _state(status: JobStatus, **more: Any) -> dict[str, Any]:
    started = {} if status is JobStatus.QUEUED else {"started_at": T0, "attempt": 1}
    state = jobs.JobState(status=status, **(started | more))
    return {"job_id": JOB, "user_id": USER, "model_id": MODEL, "occurred_at": T1, "state": state}


def _report() -> dict[str, Any]:
    return {"job_id": JOB, "attempt_id": ATTEMPT, "worker_id": WORKER, "reported_at": T1}


EXAMPLES: tuple[Message, ...] = (
    jobs.JobRequested(job=SPEC),
    jobs.JobCancelRequested(job_id=JOB, user_id=USER, requested_at=T0),
    jobs.JobQueued(**_state(JobStatus.QUEUED), seq=1, job=SPEC),
    jobs.JobStarted(**_state(JobStatus.RUNNING), seq=2, attempt_id=ATTEMPT, worker_id=WORKER),
    jobs.JobStageChanged(**_state(JobStatus.RUNNING, stage=Stage.TEXTURE), seq=3, attempt_id=ATTEMPT),
    jobs.JobRetryScheduled(
        **_state(JobStatus.QUEUED, attempt=1, started_at=T0),
        seq=4,
        attempt_id=ATTEMPT,
        failure=ERROR,
        retry_at=T1,
        worker_id=WORKER,
    ),
    jobs.JobCancelling(**_state(JobStatus.RUNNING, cancel_requested=True), seq=5, attempt_id=ATTEMPT),
    jobs.JobSucceeded(
        **_state(JobStatus.SUCCEEDED, stage=Stage.UPLOAD, completed_at=T1),
        seq=6,
        attempt_id=ATTEMPT,
        outputs=(OUTPUT,),
        stage_durations_ms={Stage.INFLATE: 812.5, Stage.UPLOAD: 90.0},
        facts={"vertices": 5000.0, "triangles": 9996.0},
    ),
    jobs.JobFailed(**_state(JobStatus.FAILED, completed_at=T1, error=ERROR), seq=7),
    jobs.JobCancelled(**_state(JobStatus.CANCELLED, completed_at=T1, cancel_requested=True), seq=8),
    attempts.RunAttempt(
        job_id=JOB,
        attempt_id=ATTEMPT,
        attempt=2,
        user_id=USER,
        model_id=MODEL,
        input_params=SPEC.input_params,
        prompt=SPEC.prompt,
        input_object=INPUT,
        execution_timeout_seconds=600.0,
    ),
    attempts.AbortAttempt(job_id=JOB, attempt_id=ATTEMPT, reason=FailureCode.WORKER_LOST),
    attempts.AttemptStarted(**_report()),
    attempts.AttemptStageChanged(**_report(), stage=Stage.TEXTURE),
    attempts.AttemptProgressed(**_report(), attempt=2, stage=Stage.GENERATE, percent=41.5),
    attempts.AttemptSucceeded(
        **_report(), outputs=(OUTPUT,), stage_durations_ms={Stage.INFLATE: 812.5}, facts={"triangles": 9996.0}
    ),
    attempts.AttemptFailed(**_report(), code=FailureCode.INVALID_IMAGE, message="The file ends in the middle."),
    workers.WorkerHeartbeat(
        worker_id=WORKER,
        models=(workers.ServedModel(model_id=MODEL, slots=2),),
        attempts=(ATTEMPT,),
        stopping=True,
        interval_seconds=3.0,
        sent_at=T1,
    ),
)


def envelope(message: Message) -> CloudEvent[Message]:
    return wrap(message, event_id=f"{JOB}/1", source="/golden", subject=str(JOB), time=T1, traceparent=TRACE)

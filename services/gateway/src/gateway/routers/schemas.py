"""What the API answers, for its description."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobError
from contracts.outputs import ArtifactKind
from contracts.states import JobStatus, Stage
from gateway.catalogue import ModelKind

_EXAMPLE_JOB: dict[str, Any] = {
    "id": "0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44",
    "model_id": "silhouette-v1",
    "status": "RUNNING",
    "progress_percent": 40,
    "stage": "inflate",
    "created_at": "2026-01-31T20:00:00.123456Z",
    "started_at": "2026-01-31T20:00:00.250000Z",
    "completed_at": None,
    "input_params": {"image_path": "uploads/…", "texture_resolution": 1024, "foreground_ratio": 0.85},
    "prompt": None,
    "attempt": 1,
    "max_attempts": 3,
    "queue_position": None,
    "cancel_requested": False,
    "error": None,
}


class Job(BaseModel):
    """A job, as of now. SUCCEEDED, FAILED and CANCELLED are for good."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_JOB})

    id: UUID
    model_id: str
    status: JobStatus
    progress_percent: Annotated[int, Field(ge=0, le=100, description="Of the current attempt; never falls within one.")]
    stage: Stage | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    input_params: Annotated[dict[str, Any], Field(description="Merged with the model's defaults.")]
    prompt: str | None
    attempt: Annotated[int, Field(description="How many attempts were started; the log says what became of each.")]
    max_attempts: Annotated[int, Field(description="How many attempts may fail before the job does.")]
    queue_position: Annotated[int | None, Field(description="While QUEUED: 1 is next; null: not known, or far back.")]
    cancel_requested: bool
    error: Annotated[JobError | None, Field(description="On FAILED: a stable code, and a sentence to act on.")]


class JobPage(BaseModel):
    jobs: list[Job]
    next_cursor: Annotated[str | None, Field(description="Pass as `cursor` for the next page; null: there is none.")]


class Event(BaseModel):
    seq: Annotated[int, Field(description="Gapless per job, from 1.")]
    type: Annotated[str, Field(examples=["job.started"])]
    at: datetime
    payload: dict[str, Any]


class EventList(BaseModel):
    events: list[Event]


class ArtifactView(BaseModel):
    name: Annotated[str, Field(examples=["model.glb"])]
    kind: ArtifactKind
    content_type: str
    bytes: int
    sha256: Annotated[str | None, Field(description="Null for inputs.")]
    url: Annotated[str, Field(description="Presigned GET.")]
    expires_in: Annotated[int, Field(description="Seconds.")]


class ArtifactList(BaseModel):
    artifacts: list[ArtifactView]


class Download(BaseModel):
    download_url: Annotated[str, Field(description="Presigned GET.")]
    expires_in: Annotated[int, Field(description="Seconds.", examples=[3600])]


class UploadTicketView(BaseModel):
    """PUT the file's bytes to `upload_url` with exactly `headers`, then name `object_name` as `input_params.image_path`."""

    upload_url: str
    object_name: str
    method: str
    headers: dict[str, str]
    expires_in: Annotated[int, Field(description="Seconds.")]
    max_bytes: int


class ModelView(BaseModel):
    id: str
    name: str
    kind: ModelKind
    parameters_schema: Annotated[dict[str, Any], Field(description="JSON Schema (Draft 2020-12) of `input_params`.")]
    defaults: dict[str, Any]
    served: Annotated[bool, Field(description="Whether a worker serves it now; jobs of others wait.")]


class ModelList(BaseModel):
    models: list[ModelView]

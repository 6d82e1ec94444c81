"""The environment of a gpu-worker. Read by `app.py` only: a bus, a URL, a token; no database and no storage keys."""

import tempfile
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, FilePath, HttpUrl, SecretStr, model_validator
from pydantic_settings import NoDecode

from contracts.ids import ModelId
from contracts.workers import ServedModel
from gpu_worker.engines.registry import ENGINES
from service_kit.settings import BusSettings, ServiceSettings


def parse_served_models(value: object) -> object:
    """``silhouette-v1:1,simulated-v1:4`` as models and their slots; without a number, one slot.

    Raises ValueError with a sentence that names the entry which is wrong.
    """
    if not isinstance(value, str):
        return value
    served = tuple(_parse_served_model(entry.strip()) for entry in value.split(",") if entry.strip())
    names = [model.model_id for model in served]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} is named more than once; give each model one number of slots")
    if not served:
        raise ValueError(f"name at least one model to serve, such as {_example()!r}")
    return served


def _parse_served_model(entry: str) -> ServedModel:
    name, _, slots = entry.partition(":")
    if name not in ENGINES:
        raise ValueError(f"there is no engine {name!r}; known engines are {', '.join(sorted(ENGINES))}")
    if not (slots or "1").isdecimal() or not 1 <= int(slots or "1") <= 256:
        raise ValueError(f"{entry!r}: after the colon comes the number of slots, 1 to 256, such as {_example()!r}")
    return ServedModel(model_id=ModelId(name), slots=int(slots or "1"))


def _example() -> str:
    return "silhouette-v1:1,simulated-v1:4"


Seconds = Annotated[float, Field(gt=0)]


class GpuWorkerSettings(ServiceSettings, BusSettings):
    port: Annotated[int, Field(ge=1, le=65535)] = 8003

    artifacts_url: HttpUrl
    """Base URL of the artifacts service."""
    artifacts_token: SecretStr
    """Opens the artifacts service's worker routes."""
    artifacts_ca_file: FilePath | None = None
    """The authorities that may have signed the certificate of an ``https://`` artifacts service; None: the system's."""
    storage_ca_file: FilePath | None = None
    """The same for the store, to which the presigned URLs lead."""
    worker_models: Annotated[tuple[ServedModel, ...], NoDecode, BeforeValidator(parse_served_models)]
    """``model:slots`` separated by commas; a slot is one attempt, and one engine process, at a time."""
    work_dir: Path = Path(tempfile.gettempdir()) / "pipeline3d-gpu-worker"
    """Inputs and outputs of running attempts. Several workers may share it."""

    heartbeat_interval_seconds: Seconds = 5.0
    lease_ttl_seconds: Seconds = 15.0
    """The orchestrator's: a worker that has been unheard for longer no longer owns its attempts."""
    claim_patience_seconds: Seconds = 1.0
    """How long a delivery may wait here for a free slot before other workers can have it."""
    stage_report_after_ms: Annotated[float, Field(ge=0)] = 200.0
    """A stage that is over sooner is not worth a row in the job's log."""
    progress_interval_ms: Annotated[float, Field(gt=0)] = 500.0
    cancel_grace_seconds: Annotated[float, Field(ge=0)] = 1.0
    """Between asking an engine to stop and killing it. A cancelled job is to be over within 2 s, whatever its engine does."""
    max_input_bytes: Annotated[int, Field(gt=0)] = 64 * 1024 * 1024
    fetch_patience_seconds: Seconds = 60.0
    """How long a storage that is away is tried for an input: a restart's length. Giving up costs one of the job's attempts and no
    work, and another worker may have a better way to it."""
    store_patience_seconds: Seconds = 300.0
    """How long for outputs, which may be hours of work. Well within the orchestrator's EXECUTION_GRACE_SECONDS, at the end of
    which it gives the attempt up."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.heartbeat_interval_seconds * 2 > self.lease_ttl_seconds:
            raise ValueError(
                "LEASE_TTL_SECONDS must be at least twice HEARTBEAT_INTERVAL_SECONDS, or one lost heartbeat ends every attempt"
            )
        return self

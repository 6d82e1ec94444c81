"""The environment of the artifacts service. Read by `app.py` only."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, FilePath, SecretStr, model_validator
from pydantic_core import from_json
from pydantic_settings import NoDecode

from artifacts.endpoint import parse_endpoint
from service_kit.settings import BusSettings, DatabaseSettings, RetentionSettings, ServiceSettings


def _origins(value: object) -> object:
    """A JSON array, or names separated by commas: both forms are common in `.env` files."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return from_json(value)
    return [origin.strip() for origin in value.split(",") if origin.strip()]


def _tokens(value: object) -> object:
    return tuple(token.strip() for token in value.split(",") if token.strip()) if isinstance(value, str) else value


CallerTokens = Annotated[
    tuple[Annotated[SecretStr, Field(min_length=16)], ...],
    Field(min_length=1, max_length=2),
    NoDecode,
    BeforeValidator(_tokens),
]
"""One token; two, separated by a comma, while it is being changed: both are accepted."""


class ArtifactsSettings(ServiceSettings, BusSettings, DatabaseSettings, RetentionSettings):
    port: Annotated[int, Field(ge=1, le=65535)] = 8002

    gateway_token: CallerTokens
    """Opens the gateway's routes, and no other."""
    worker_token: CallerTokens
    """Opens the workers' routes, and no other."""

    minio_endpoint: str
    """Where this service itself reaches the store. With a scheme, or without: then `minio_secure` decides."""
    minio_public_endpoint: str | None = None
    """Where browsers reach it; URLs for users are signed for this host. None: the same."""
    minio_worker_endpoint: str | None = None
    """Where workers reach it; None: where browsers do, since a worker may stand on anybody's network."""
    minio_secure: bool = False
    minio_ca_file: FilePath | None = None
    """The authorities that may have signed the certificate of an ``https://`` store; None: the system's."""
    minio_access_key: SecretStr
    minio_secret_key: SecretStr
    minio_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    minio_region: str = "us-east-1"

    backend_cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ()
    """Origins whose pages may PUT to and GET from the bucket."""

    upload_max_bytes: Annotated[int, Field(gt=0)] = 20 * 1024 * 1024
    upload_ticket_ttl_seconds: Annotated[int, Field(gt=0, le=604_800)] = 900
    download_ttl_seconds: Annotated[int, Field(gt=0, le=604_800)] = 3600
    worker_grant_ttl_seconds: Annotated[int, Field(gt=0, le=604_800)] = 3600

    storage_timeout_seconds: Annotated[float, Field(gt=0)] = 4.0
    """For the store's answer, and between two bytes of an object. Less than the 5 s after which the gateway waits no more."""

    upload_retention_hours: Annotated[float, Field(gt=0)] = 72.0
    """How long an upload stays after its ticket has expired, and after a job was last about to use it. So long may it take until
    an accepted job is heard of here: a weekend without orchestrator."""
    loser_retention_hours: Annotated[float, Field(gt=0)] = 24.0
    """How long the files of attempts that did not win stay after their job is over. Longer than a grant is valid, or a fenced
    worker could still upload afterwards; a day leaves time to look at what it made."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if set(self.gateway_token) & set(self.worker_token):
            raise ValueError("GATEWAY_TOKEN and WORKER_TOKEN must differ, or each caller could use the other's routes")
        grant_hours = self.worker_grant_ttl_seconds / 3600
        if self.loser_retention_hours <= grant_hours or 0 < self.job_retention_days * 24 <= grant_hours:
            raise ValueError(
                "LOSER_RETENTION_HOURS and JOB_RETENTION_DAYS must be longer than WORKER_GRANT_TTL_SECONDS, or a worker could "
                "still upload what nobody would remove"
            )
        for endpoint in (self.minio_endpoint, self.minio_public_endpoint, self.minio_worker_endpoint):
            if endpoint is not None:
                parse_endpoint(endpoint, secure=self.minio_secure)
        return self

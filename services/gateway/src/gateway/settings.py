"""The gateway's environment."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, FilePath, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from service_kit.logging.settings import LogSettings
from service_kit.settings import BusSettings, DatabaseSettings, LogRetentionSettings, ServiceSettings


class GatewaySettings(ServiceSettings, BusSettings, DatabaseSettings, LogRetentionSettings):
    """What `python -m gateway` reads."""

    artifacts_url: str
    """Base URL of the artifacts service."""
    artifacts_token: SecretStr
    """The gateway's own token for the artifacts service."""
    artifacts_ca_file: FilePath | None = None
    """The authorities that may have signed the certificate of an ``https://`` artifacts service; None: the system's."""
    artifacts_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    backend_cors_origins: str = ""
    """Comma-separated origins (``https://editor.example``) whose pages may call the API."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024
    max_prompt_characters: Annotated[int, Field(ge=1)] = 2000
    max_json_depth: Annotated[int, Field(ge=3, le=128)] = 32

    api_key_cache_seconds: Annotated[float, Field(ge=0)] = 3.0
    """How long a revoked key may still open the door."""
    catalogue_refresh_seconds: Annotated[float, Field(gt=0)] = 3.0
    queue_position_refresh_seconds: Annotated[float, Field(gt=0)] = 1.0
    republish_after_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How long the orchestrator may take to acknowledge a job, or a cancellation, before the gateway says it again."""

    @field_validator("backend_cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in _split(value):
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path not in {"", "/"}:
                raise ValueError(f"{origin!r} is not an origin; write scheme://host[:port], separated by commas")
        return value

    @property
    def cors_origins(self) -> list[str]:
        return [origin.rstrip("/") for origin in _split(self.backend_cors_origins)]


class InitialDataSettings(LogSettings, DatabaseSettings):
    """What `python -m gateway.initial_data` reads."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    first_superuser_username: Annotated[str, Field(min_length=1, max_length=100)]
    first_superuser_password: SecretStr
    first_superuser_api_key: Annotated[SecretStr, Field(min_length=16)]
    """At least 16 characters: keys are stored as a plain SHA-256, which protects only what cannot be guessed."""


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]

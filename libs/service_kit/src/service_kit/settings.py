"""The settings every service has. Read once, at start, by `app.py`; below it values are passed."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class ServiceSettings(BaseSettings):
    """Environment only. An unknown or unusable value stops the process with a sentence that names it."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    log_format: LogFormat = LogFormat.JSON
    log_level: str = "INFO"
    startup_patience_seconds: Annotated[float, Field(ge=0)] = 60.0
    """How long the database and the broker are waited for at start, before the process ends with their error."""
    shutdown_grace_seconds: Annotated[float, Field(ge=0)] = 20.0
    """How long requests, batches and attempts under way may take to finish after SIGTERM."""
    drain_seconds: Annotated[float, Field(ge=0)] = 0.5
    """How long after SIGTERM requests are still taken, while readiness fails: what a load balancer needs to look elsewhere."""


class BusSettings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    rabbitmq_url: SecretStr


class DatabaseSettings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: SecretStr
    """``postgresql+asyncpg://user:password@host:port/database``"""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    database_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    """After this a statement has failed. Ours take milliseconds; one that takes longer waits for a server that does not answer,
    and callers should hear that while they still listen."""
    database_transaction_pooler: bool = False
    """True behind pgbouncer or Supabase's pooler in transaction mode: no prepared statement outlives its transaction."""

"""The settings every service has. Read once, at start, by `app.py`; below it values are passed."""

from datetime import timedelta
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


class RetentionSettings(BaseSettings):
    """The same names in every service that keeps something of a job: each removes its own part by its own clock."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    job_retention_days: Annotated[float, Field(ge=0)] = 90.0
    """How long what belongs to a job is kept after it is over; 0: for ever."""
    retention_interval_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Between two looks for what is due. Each goes on until nothing is."""

    @property
    def keep_jobs(self) -> timedelta | None:
        """None: for ever."""
        return timedelta(days=self.job_retention_days) if self.job_retention_days else None


class LogRetentionSettings(RetentionSettings):
    job_events_retention_days: Annotated[float, Field(ge=0)] = 30.0
    """How long the log of a job is kept after it is over; 0: as long as the job. Logs are the largest part by far."""

    @property
    def keep_logs(self) -> timedelta | None:
        """None: as long as the job."""
        return timedelta(days=self.job_events_retention_days) if self.job_events_retention_days else None

"""The settings every service has. Read once, at start, by `app.py`; below it values are passed."""

import ssl
from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

from pydantic import Field, FilePath, SecretStr, model_validator

from service_kit.environment import EnvironmentSettings
from service_kit.logging.settings import AccessLogSettings, LogSettings
from service_kit.tls import trusting


class ServiceSettings(LogSettings, AccessLogSettings):
    """An unusable value stops the process with a sentence that names it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    tls_certificate_file: FilePath | None = None
    """With its key: then the service speaks https on its port, health and metrics included."""
    tls_key_file: FilePath | None = None
    startup_patience_seconds: Annotated[float, Field(ge=0)] = 60.0
    """How long the database and the broker are waited for at start, before the process ends with their error."""
    shutdown_grace_seconds: Annotated[float, Field(ge=0)] = 20.0
    """How long requests, batches and attempts under way may take to finish after SIGTERM."""
    drain_seconds: Annotated[float, Field(ge=0)] = 0.5
    """How long after SIGTERM requests are still taken, while readiness fails: what a load balancer needs to look elsewhere."""
    metrics_token: Annotated[SecretStr, Field(min_length=16)] | None = None
    """What `/metrics` asks for; None: nothing. It tells nothing of users or jobs, and most keep it inside by their network."""

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERTIFICATE_FILE and TLS_KEY_FILE go together")
        return self


class BusSettings(EnvironmentSettings):
    rabbitmq_url: SecretStr
    """``amqp://user:password@host:port/vhost``; ``amqps://`` for an encrypted connection.

    As its own user, ``p3d-<service>``, a service makes its own queues and waits for those of the others; as any other user,
    who then must be allowed to, it makes everything."""
    rabbitmq_password: SecretStr | None = None
    """Instead of one in the URL, which then is no secret."""
    rabbitmq_ca_file: FilePath | None = None
    """The authorities that may have signed the broker's certificate; None: the system's."""
    rabbitmq_certificate_file: FilePath | None = None
    """What this client proves itself by, where the broker asks for it (`verify_peer`); with its key."""
    rabbitmq_key_file: FilePath | None = None

    @model_validator(mode="after")
    def _check_bus(self) -> Self:
        parts = urlsplit(self.broker_url())
        files = (self.rabbitmq_ca_file, self.rabbitmq_certificate_file, self.rabbitmq_key_file)
        if parts.scheme != "amqps" and any(files):
            raise ValueError(
                "RABBITMQ_CA_FILE, …_CERTIFICATE_FILE and …_KEY_FILE are for an encrypted connection, and RABBITMQ_URL does not "
                "ask for one: write amqps://"
            )
        if (self.rabbitmq_certificate_file is None) != (self.rabbitmq_key_file is None):
            raise ValueError("RABBITMQ_CERTIFICATE_FILE and RABBITMQ_KEY_FILE go together")
        if (
            told := {"cafile", "capath", "cadata", "certfile", "keyfile", "no_verify_ssl"}
            & parse_qs(parts.query).keys()
        ):
            raise ValueError(
                f"RABBITMQ_URL says {', '.join(sorted(told))}: certificates are always verified; set RABBITMQ_CA_FILE, "
                "RABBITMQ_CERTIFICATE_FILE and RABBITMQ_KEY_FILE instead"
            )
        return self

    def broker_url(self) -> str:
        """With the password."""
        return _with_password(self.rabbitmq_url, self.rabbitmq_password, "RABBITMQ")

    def broker_tls(self) -> ssl.SSLContext | None:
        """None where the connection is not to be encrypted. Raises OSError where a file is not what it should be."""
        if urlsplit(self.broker_url()).scheme != "amqps":
            return None
        return trusting(
            self.rabbitmq_ca_file,
            certificate_file=self.rabbitmq_certificate_file,
            key_file=self.rabbitmq_key_file,
        )


class DatabaseSettings(EnvironmentSettings):
    database_url: SecretStr
    """``postgresql+asyncpg://user:password@host:port/database``; with ``?sslmode=verify-full`` for an encrypted connection to a
    server that proves who it is. Without `sslmode` encryption is taken where it is offered, and nothing is verified."""
    database_password: SecretStr | None = None
    """Instead of one in the URL, which then is no secret."""
    database_ca_file: FilePath | None = None
    """The authorities that may have signed the server's certificate; None: the system's."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    database_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    """After this a statement has failed. Ours take milliseconds; one that takes longer waits for a server that does not answer,
    and callers should hear that while they still listen."""
    database_transaction_pooler: bool = False
    """True behind pgbouncer or Supabase's pooler in transaction mode: no prepared statement outlives its transaction."""

    @model_validator(mode="after")
    def _check_database(self) -> Self:
        mode = self._sslmode()
        if mode not in {None, "disable", "prefer", "require", _VERIFIED}:
            raise ValueError(f"DATABASE_URL says sslmode={mode}: use {_VERIFIED}, require, prefer or disable")
        if self.database_ca_file is not None and mode != _VERIFIED:
            raise ValueError(f"DATABASE_CA_FILE is of use only if DATABASE_URL ends in ?sslmode={_VERIFIED}")
        return self

    def database_address(self) -> str:
        """The URL with the password, without `sslmode`, which not every driver knows: that is `database_tls`."""
        url = _with_password(self.database_url, self.database_password, "DATABASE")
        if self._sslmode() is None:
            return url
        parts = urlsplit(url)
        query = {name: values for name, values in parse_qs(parts.query).items() if name != "sslmode"}
        return urlunsplit(parts._replace(query=urlencode(query, doseq=True)))

    def database_tls(self) -> ssl.SSLContext | str | None:
        """asyncpg's `ssl`. Raises OSError where the file is not what it should be."""
        mode = self._sslmode()
        return trusting(self.database_ca_file) if mode == _VERIFIED else mode

    def _sslmode(self) -> str | None:
        modes = parse_qs(urlsplit(self.database_url.get_secret_value()).query).get("sslmode", [])
        return modes[-1] if modes else None


_VERIFIED = "verify-full"


def _with_password(url: SecretStr, password: SecretStr | None, prefix: str) -> str:
    if password is None:
        return url.get_secret_value()
    parts = urlsplit(url.get_secret_value())
    if parts.username is None or parts.password is not None:
        raise ValueError(
            f"{prefix}_PASSWORD is set: then {prefix}_URL must name the user and no password, as in user@host:port"
        )
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password.get_secret_value(), safe='')}@{place}"))


class RetentionSettings(EnvironmentSettings):
    """The same names in every service that keeps something of a job: each removes its own part by its own clock."""

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

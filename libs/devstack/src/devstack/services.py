"""What each service is told by its environment: all it needs and, above all of credentials, nothing more."""

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from contracts.permissions import BusUser
from devstack.addresses import RabbitAddress, ServerAddresses
from devstack.broker_users import broker_url
from devstack.errors import DevstackError


class Service(StrEnum):
    """The name of each is also the name of its Python package."""

    ARTIFACTS = "artifacts"
    ORCHESTRATOR = "orchestrator"
    GPU_WORKER = "gpu_worker"
    GATEWAY = "gateway"


DATABASE_SERVICES = (Service.GATEWAY, Service.ORCHESTRATOR, Service.ARTIFACTS)

# What a program needs to run at all, and what its operator may say to libraries. No credential is among them.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_INHERITED_FAMILIES = ("OTEL_", "CUDA_", "NVIDIA_")


@dataclass(frozen=True)
class Superuser:
    username: str
    password: str
    api_key: str


@dataclass(frozen=True)
class StackSettings:
    state_directory: Path
    """Holds the services' logs and work folders, and the tokens they know each other by."""
    superuser: Superuser
    replicas: Mapping[Service, int] = field(default_factory=dict)
    """How many processes of a service; one where it is not named."""
    api_port: int | None = None
    """The port of the first gateway; None: a free one."""
    worker_models: str = "silhouette-v1:1,simulated-v1:4"
    """``model:slots,…`` of every worker."""
    cors_origins: str = ""
    public_storage_endpoint: str | None = None
    """What a browser reaches the store by; None: the same as the services."""
    log_format: str = "console"
    common: Mapping[str, str] = field(default_factory=dict)
    """Settings for every service, by the names of their environment. No credentials."""
    extra: Mapping[Service, Mapping[str, str]] = field(default_factory=dict)
    """Settings for one service."""
    of_process: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Settings for one process, by its name, such as ``gateway-1``."""
    restart_on_crash: bool = False
    """Whether a process that ends by itself, or is killed, is started again."""

    def processes(self) -> Iterator[tuple[Service, str]]:
        """Every process: its service and its name, such as ``gateway-1``."""
        for service in Service:
            for number in range(1, self.replicas.get(service, 1) + 1):
                yield service, f"{service}-{number}"


@dataclass(frozen=True)
class Tokens:
    """By which the artifacts service knows its two callers apart."""

    gateway: str
    worker: str


def service_environment(
    service: Service,
    *,
    name: str,
    port: int,
    servers: ServerAddresses,
    artifacts_url: str,
    tokens: Tokens,
    work_directory: Path,
    settings: StackSettings,
) -> dict[str, str]:
    """The whole environment of one process of a service."""
    environment = inherited_environment(os.environ) | dict(settings.common)
    environment |= {"HOST": "127.0.0.1", "PORT": str(port), "LOG_FORMAT": settings.log_format}
    environment["RABBITMQ_URL"] = service_broker_url(servers.broker, service)
    if service in DATABASE_SERVICES:
        environment["DATABASE_URL"] = database_url(servers.postgres_admin_url, service)
    match service:
        case Service.GATEWAY:
            environment |= {"ARTIFACTS_URL": artifacts_url, "ARTIFACTS_TOKEN": tokens.gateway}
            environment |= {"BACKEND_CORS_ORIGINS": settings.cors_origins}
        case Service.ORCHESTRATOR:
            pass
        case Service.GPU_WORKER:
            environment |= {"ARTIFACTS_URL": artifacts_url, "ARTIFACTS_TOKEN": tokens.worker}
            environment |= {"WORKER_MODELS": settings.worker_models, "WORK_DIR": str(work_directory)}
        case Service.ARTIFACTS:
            environment |= {"GATEWAY_TOKEN": tokens.gateway, "WORKER_TOKEN": tokens.worker}
            environment |= {"BACKEND_CORS_ORIGINS": settings.cors_origins}
            environment |= _storage(servers, settings)
    own = dict(settings.extra.get(service, {})) | dict(settings.of_process.get(name, {}))
    return environment | own


def service_broker_url(broker: RabbitAddress, service: Service) -> str:
    return broker_url(broker, BusUser(service.value.replace("_", "-")))


def database_url(admin_url: str, service: Service) -> str:
    """The URL by which a service connects, as its own role."""
    parts = urlsplit(admin_url)
    place = parts.netloc.rpartition("@")[2]
    credentials = f"p3d_{service}:{quote(role_password(admin_url, service))}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{place}"))


def role_password(admin_url: str, service: Service) -> str:
    """The password of a service's role: drawn from the administrator's, so that all who share a server agree on it.

    A role belongs to the whole server. Two stacks on it, each with a password of its own making, would lock each other out.
    """
    secret = urlsplit(admin_url).password
    if not secret:
        raise DevstackError(
            "DATABASE_URL has no password, from which those of the services' roles could be drawn: add one"
        )
    return hmac.digest(unquote(secret).encode(), f"pipeline3d role {service}".encode(), hashlib.sha256).hex()[:40]


def inherited_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name in _INHERITED or name.startswith(_INHERITED_FAMILIES) or name == "LOG_LEVEL"
    } | {"PYTHONUNBUFFERED": "1"}


def _storage(servers: ServerAddresses, settings: StackSettings) -> dict[str, str]:
    store = servers.s3
    return {
        "MINIO_ENDPOINT": store.endpoint,
        "MINIO_PUBLIC_ENDPOINT": settings.public_storage_endpoint or store.endpoint,
        "MINIO_ACCESS_KEY": store.access_key,
        "MINIO_SECRET_KEY": store.secret_key,
        "MINIO_BUCKET": store.bucket,
        "MINIO_SECURE": str(store.endpoint.startswith("https://")).lower(),
    }

"""Servers and services together, set up by the environment and `.env`: what `make up` and `make demo` run."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from devstack.addresses import Address, PostgresAddress
from devstack.databases import prepare_database
from devstack.dotenv_file import common_settings, superuser_of
from devstack.errors import DevstackError
from devstack.servers import servers
from devstack.services import Service, StackSettings
from devstack.stack import ProcessOutput, Stack

_REPLICAS = {"GATEWAYS": Service.GATEWAY, "ORCHESTRATORS": Service.ORCHESTRATOR, "WORKERS": Service.GPU_WORKER}
_DEFAULT_ORIGINS = "http://localhost:3000,http://localhost:5173"


@asynccontextmanager
async def whole_system(
    root: Path,
    state: Path,
    values: Mapping[str, str],
    *,
    default_port: int | None = None,
    output: ProcessOutput | None = None,
    common: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Stack]:
    """Has everything running until the block is left. `values` are those of `load_or_create`.

    `default_port` is the API's unless PORT says otherwise; None: a free one. `common` are settings for every service, which go
    before those of `values`.
    """
    settings = stack_settings(root, state, values, default_port=default_port)
    settings = replace(settings, common={**settings.common, **common})

    async def prepare(address: Address) -> None:
        # RabbitMQ takes the longest to start: meanwhile the database can be made ready.
        if isinstance(address, PostgresAddress):
            await prepare_database(address.admin_url, settings.superuser)

    async with (
        servers(state, environment=values, once_up=prepare) as addresses,
        Stack(addresses, settings, output) as stack,
    ):
        yield stack


def stack_settings(root: Path, state: Path, values: Mapping[str, str], *, default_port: int | None) -> StackSettings:
    """What the environment and `.env` say about the stack."""
    replicas = {service: _count(values, name) for name, service in _REPLICAS.items() if name in values}
    defaults = StackSettings(state_directory=state / "services", superuser=superuser_of(values))
    return StackSettings(
        state_directory=defaults.state_directory,
        superuser=defaults.superuser,
        replicas=replicas,
        api_port=_count(values, "PORT") if "PORT" in values else default_port,
        worker_models=values.get("WORKER_MODELS", defaults.worker_models),
        cors_origins=values.get("BACKEND_CORS_ORIGINS", _DEFAULT_ORIGINS),
        public_storage_endpoint=values.get("MINIO_PUBLIC_ENDPOINT"),
        log_format=values.get("LOG_FORMAT", defaults.log_format),
        common=common_settings(root, values),
        restart_on_crash=True,
    )


def _count(values: Mapping[str, str], name: str) -> int:
    with contextlib.suppress(ValueError):
        if (number := int(values[name])) > 0:
            return number
    raise DevstackError(f"{name}={values[name]} is not a number above zero")

"""The servers in containers, where a Docker engine answers."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import docker  # type: ignore[import-untyped]  # docker-py ships no types
from docker.errors import DockerException, NotFound  # type: ignore[import-untyped]  # docker-py ships no types
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from devstack.addresses import Address, PostgresAddress, RabbitAddress, S3Address, ServerKind
from devstack.errors import DevstackError
from devstack.polling import until
from devstack.reachable import answers
from devstack.state import StateDirectory
from devstack.vhosts import ContainerVhosts

_log = logging.getLogger("devstack")

_PROBE_TIMEOUT_SECONDS = 4
_START_TIMEOUT_SECONDS = 90.0
_STOP_TIMEOUT_SECONDS = 30
_STATE_LABEL = "pipeline3d.state"


@dataclass(frozen=True)
class _Recipe:
    image: str
    port: int
    data: str
    """Where the image keeps its data."""


_RECIPES = {
    ServerKind.POSTGRES: _Recipe("postgres:18", 5432, "/var/lib/postgresql"),
    ServerKind.RABBITMQ: _Recipe("rabbitmq:4.2", 5672, "/var/lib/rabbitmq"),
    ServerKind.S3: _Recipe("chrislusf/seaweedfs:4.48", 8333, "/data"),
}


async def why_no_container(kind: ServerKind) -> str | None:
    """None if a container of this kind can be started here, else the reason. Takes a few seconds at most."""
    try:
        return await asyncio.to_thread(_probe, _RECIPES[kind].image)
    except (DockerException, RequestException, OSError):
        return "no Docker engine answers"


@asynccontextmanager
async def container_server(kind: ServerKind, state: StateDirectory, *, durable: bool) -> AsyncIterator[Address]:
    """Runs the server in a container until the block is left; its data lies in the state directory if `durable`.

    Without `durable` it is ended like by a power cut.
    """
    # We end leftovers by label ourselves: testcontainers' reaper would be one more image to have at hand.
    testcontainers_config.ryuk_disabled = True
    container = _container(kind, state, durable=durable)
    await asyncio.to_thread(_remove_leftovers, kind, state)
    try:
        await asyncio.to_thread(container.start)
        address = await asyncio.to_thread(_address, kind, container, state)
        if not await until(lambda: answers(address), timeout_seconds=_START_TIMEOUT_SECONDS):
            raise DevstackError(f"{kind} in a container of {container.image} did not answer")
        yield address
    finally:
        await asyncio.to_thread(_stop, container, durable=durable)


def _probe(image: str) -> str | None:
    client = docker.from_env(timeout=_PROBE_TIMEOUT_SECONDS)
    try:
        client.ping()
        try:
            client.images.get(image)
        except NotFound:
            try:
                client.images.get_registry_data(image)
            except (DockerException, RequestException):
                return f"the image {image} is neither at hand nor to be had"
            _log.info("pulling %s", image)
    finally:
        client.close()
    return None


def _container(kind: ServerKind, state: StateDirectory, *, durable: bool) -> DockerContainer:
    recipe = _RECIPES[kind]
    container = DockerContainer(recipe.image).with_exposed_ports(recipe.port)
    # A RabbitMQ node finds its data again by its host name.
    container.with_kwargs(hostname="pipeline3d", labels={_STATE_LABEL: _label(kind, state)})
    secret = state.secret(kind)
    match kind:
        case ServerKind.POSTGRES:
            container.with_env("POSTGRES_PASSWORD", secret)
            if not durable:
                container.with_command(["postgres", "-c", "fsync=off", "-c", "synchronous_commit=off"])
        case ServerKind.RABBITMQ:
            container.with_envs(RABBITMQ_DEFAULT_USER="pipeline3d", RABBITMQ_DEFAULT_PASS=secret)
        case ServerKind.S3:
            container.with_envs(AWS_ACCESS_KEY_ID="pipeline3d", AWS_SECRET_ACCESS_KEY=secret)
            container.with_command(
                ["mini", "-dir=/data", "-webdav=false", "-admin.ui=false", "-master.telemetry=false"]
            )
    if durable:
        container.with_volume_mapping(state.directory("containers", kind), recipe.data, "rw")
    return container


def _stop(container: DockerContainer, *, durable: bool) -> None:
    if durable and (started := container.get_wrapped_container()) is not None:
        # testcontainers kills what it removes: what is to be found again should be able to put it away.
        started.stop(timeout=_STOP_TIMEOUT_SECONDS)
    container.stop()


def _address(kind: ServerKind, container: DockerContainer, state: StateDirectory) -> Address:
    place = f"{container.get_container_host_ip()}:{container.get_exposed_port(_RECIPES[kind].port)}"
    secret = state.secret(kind)
    match kind:
        case ServerKind.POSTGRES:
            return PostgresAddress(admin_url=f"postgresql+asyncpg://postgres:{secret}@{place}/postgres")
        case ServerKind.RABBITMQ:
            vhosts = ContainerVhosts(container=container.get_container_id(), user="pipeline3d")
            return RabbitAddress(url=f"amqp://pipeline3d:{secret}@{place}/", vhosts=vhosts)
        case ServerKind.S3:
            return S3Address(endpoint=f"http://{place}", access_key="pipeline3d", secret_key=secret)


def _remove_leftovers(kind: ServerKind, state: StateDirectory) -> None:
    client = docker.from_env(timeout=_PROBE_TIMEOUT_SECONDS)
    try:
        for leftover in client.containers.list(all=True, filters={"label": f"{_STATE_LABEL}={_label(kind, state)}"}):
            leftover.remove(force=True, v=True)
    finally:
        client.close()


def _label(kind: ServerKind, state: StateDirectory) -> str:
    return f"{state.path}:{kind}"

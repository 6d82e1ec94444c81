"""PostgreSQL, RabbitMQ and S3 for development and tests, wherever they can be had."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from docker.errors import DockerException  # type: ignore[import-untyped]  # docker-py ships no types
from testcontainers.core.exceptions import ContainerStartException

from devstack.addresses import Address, PostgresAddress, RabbitAddress, S3Address, ServerAddresses, ServerKind
from devstack.containers import container_server, why_no_container
from devstack.embedded import EmbeddedServer
from devstack.errors import DevstackError
from devstack.named import VARIABLES, named_server
from devstack.postgres import embedded_postgres_server
from devstack.rabbitmq import embedded_rabbitmq_server
from devstack.reachable import why_unreachable
from devstack.seaweedfs import embedded_s3_server
from devstack.state import StateDirectory

_log = logging.getLogger("devstack")

EVERY_KIND = frozenset(ServerKind)

OnceUp = Callable[[Address], Awaitable[None]]


async def _nothing(_address: Address) -> None:
    return None


@asynccontextmanager
async def servers(
    state_directory: Path,
    needs: Collection[ServerKind | str] = EVERY_KIND,
    *,
    durable: bool = True,
    environment: Mapping[str, str] | None = None,
    once_up: OnceUp = _nothing,
) -> AsyncIterator[ServerAddresses]:
    """Has the servers running until the block is left, and leaves no process behind.

    Each is looked for in this order: named in the environment and answering; in a container, where a Docker engine answers
    and has or finds the image; embedded. All of them start at once. What they keep lies in the state directory, where a
    second run finds it again. Without `durable` nothing waits for the disk: for tests. `once_up` is called with each address
    as soon as that server answers, while others may still be starting; the block is entered when all that has returned too.

    Raises `StateInUseError`, `MissingPrerequisiteError` or `StartError`.
    """
    state = StateDirectory(state_directory)
    with state.claimed():
        async with AsyncExitStack() as running:
            launcher = _Launcher(state, running, environment or os.environ, durable=durable)

            async def launch(kind: ServerKind) -> Address:
                address = await launcher.launch(kind)
                await once_up(address)
                return address

            yield await _all_of(launch(ServerKind(kind)) for kind in set(needs))


@dataclass(frozen=True)
class ControlledServers:
    """The three servers, embedded, in the hands of whoever breaks them."""

    postgres: EmbeddedServer[PostgresAddress]
    rabbitmq: EmbeddedServer[RabbitAddress]
    s3: EmbeddedServer[S3Address]

    @property
    def addresses(self) -> ServerAddresses:
        return ServerAddresses(postgres=self.postgres.address, rabbitmq=self.rabbitmq.address, s3_store=self.s3.address)


@asynccontextmanager
async def controlled_servers(state_directory: Path, *, durable: bool = True) -> AsyncIterator[ControlledServers]:
    """Like `servers`, but always our own and embedded: nobody else's are to be killed, and a container is not ours to freeze."""
    state = StateDirectory(state_directory)
    with state.claimed():
        async with (
            embedded_postgres_server(state, durable=durable) as postgres,
            embedded_rabbitmq_server(state, durable=durable) as rabbitmq,
            embedded_s3_server(state, durable=durable) as s3,
        ):
            yield ControlledServers(postgres, rabbitmq, s3)


async def _all_of(launches: Iterable[Awaitable[Address]]) -> ServerAddresses:
    started = await asyncio.gather(*launches, return_exceptions=True)
    for outcome in started:
        if isinstance(outcome, BaseException):
            raise outcome
    return ServerAddresses(
        postgres=next((address for address in started if isinstance(address, PostgresAddress)), None),
        rabbitmq=next((address for address in started if isinstance(address, RabbitAddress)), None),
        s3_store=next((address for address in started if isinstance(address, S3Address)), None),
    )


class _Launcher:
    """Finds or starts one server after another; what it starts, `running` will stop."""

    def __init__(
        self, state: StateDirectory, running: AsyncExitStack, environment: Mapping[str, str], *, durable: bool
    ) -> None:
        self._state = state
        self._running = running
        self._environment = environment
        self._durable = durable

    async def launch(self, kind: ServerKind) -> Address:
        if named := named_server(kind, self._environment):
            if not (reason := await why_unreachable(named)):
                _log.info("%s: the one %s names", kind, VARIABLES[kind])
                return named
            _log.warning("%s names a server that does not answer (%s): starting one", VARIABLES[kind], reason)
        began = time.monotonic()
        address, how = await self._start(kind)
        _log.info("%s: %s, up in %.1f s", kind, how, time.monotonic() - began)
        return address

    async def _start(self, kind: ServerKind) -> tuple[Address, str]:
        if self._environment.get("DEVSTACK_CONTAINERS") == "0":
            reason: str | None = "DEVSTACK_CONTAINERS is 0"
        elif not (reason := await why_no_container(kind)):
            container = container_server(kind, self._state, durable=self._durable)
            try:
                return await self._running.enter_async_context(container), "in a container"
            except (DockerException, ContainerStartException, DevstackError) as error:
                reason = str(error)
        embedded = await self._running.enter_async_context(_embedded(kind, self._state, durable=self._durable))
        return embedded.address, f"embedded, as {reason}"


def _embedded(
    kind: ServerKind, state: StateDirectory, *, durable: bool
) -> AbstractAsyncContextManager[EmbeddedServer[Address]]:
    match kind:
        case ServerKind.POSTGRES:
            return embedded_postgres_server(state, durable=durable)
        case ServerKind.RABBITMQ:
            return embedded_rabbitmq_server(state, durable=durable)
        case ServerKind.S3:
            return embedded_s3_server(state, durable=durable)
        case _:
            assert_never(kind)

"""The whole system with replicas, on servers of its own, each process by ways of its own that can be cut."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from clock_skew import skewed_environment
from fault_schedule import Targets, Way

from devstack.addresses import ServerAddresses
from devstack.errors import DevstackError
from devstack.servers import ControlledServers, controlled_servers
from devstack.services import (
    DATABASE_SERVICES,
    Service,
    StackSettings,
    Superuser,
    database_url,
    service_broker_url,
)
from devstack.severable import SeverableWay
from devstack.stack import Stack

REPLICAS = {Service.GATEWAY: 2, Service.ORCHESTRATOR: 2, Service.GPU_WORKER: 3, Service.ARTIFACTS: 1}
LEASE_TTL_SECONDS = 6.0

# Short patience everywhere, so that a run of two minutes holds many recoveries.
_COMMON = {"SHUTDOWN_GRACE_SECONDS": "3"}
_EXTRA = {
    Service.ORCHESTRATOR: {
        "LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS),
        "SWEEP_INTERVAL_SECONDS": "0.5",
        "REDISPATCH_AFTER_SECONDS": "3",
        "RELAY_PATIENCE_SECONDS": "2",
    },
    Service.GPU_WORKER: {"HEARTBEAT_INTERVAL_SECONDS": "1", "LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS)},
    Service.GATEWAY: {"REPUBLISH_AFTER_SECONDS": "3"},
}


@dataclass(frozen=True)
class SystemUnderTest:
    servers: ControlledServers
    stack: Stack
    ways: Mapping[Way, SeverableWay]
    """One for each process and server it speaks to."""
    prober_key: str
    """The API key of a second user, whose jobs come before everybody's: they measure the system, not its backlog."""

    @property
    def targets(self) -> Targets:
        """What a schedule may break: every process, every process's ways, and those of a whole service at once."""
        together = (Way(_service(way), way.server) for way in self.ways if REPLICAS[Service(_service(way))] > 1)
        return Targets(self.stack.names(), list(dict.fromkeys((*self.ways, *together))))

    def ways_of(self, way: Way) -> list[SeverableWay]:
        """Of a process, or of all processes of a service."""
        return [at for other, at in self.ways.items() if way in (other, Way(_service(other), other.server))]

    def ways_to(self, server: str) -> list[SeverableWay]:
        return [at for other, at in self.ways.items() if other.server == server]


@asynccontextmanager
async def running_system(state: Path) -> AsyncIterator[SystemUnderTest]:
    """Everything durable, ready to be broken, and restarted by its supervisor whenever it crashes."""
    superuser = Superuser("chaos", secrets.token_urlsafe(24), secrets.token_urlsafe(32))
    async with controlled_servers(state / "servers", durable=True) as servers, AsyncExitStack() as open_ways:
        addresses = servers.addresses
        ways: dict[Way, SeverableWay] = {}
        for way in _ways():
            to = SeverableWay(_url_of(way.server, addresses))
            ways[way] = await open_ways.enter_async_context(to)
        settings = StackSettings(
            state_directory=state / "services",
            superuser=superuser,
            replicas=REPLICAS,
            worker_models="simulated-v1:6,silhouette-v1:1",
            log_format="json",
            common=_COMMON,
            extra=_EXTRA,
            of_process=_environments(addresses, ways),
            restart_on_crash=True,
        )
        async with Stack(addresses, settings) as stack:
            yield SystemUnderTest(servers, stack, ways, await _add_prober(addresses))


async def _add_prober(addresses: ServerAddresses) -> str:
    adding = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.users", "add", "prober", "--priority", "100",
        env={"PATH": os.defpath, "DATABASE_URL": database_url(addresses.postgres_admin_url, Service.GATEWAY)},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    key, _ = await adding.communicate()
    if adding.returncode:
        raise DevstackError("`python -m gateway.users add` failed")
    return key.decode().strip()


def _ways() -> Iterable[Way]:
    for service, count in REPLICAS.items():
        for number in range(1, count + 1):
            yield Way(f"{service}-{number}", "rabbitmq")
            if service in DATABASE_SERVICES:
                yield Way(f"{service}-{number}", "postgres")
    yield Way("artifacts-1", "s3")
    yield Way("gpu_worker", "s3")


def _environments(addresses: ServerAddresses, ways: Mapping[Way, SeverableWay]) -> dict[str, dict[str, str]]:
    environments = {name: dict(environment) for name, environment in skewed_environment().items()}
    for way, to in ways.items():
        environment = environments.setdefault(way.source, {})
        match way.server:
            case "rabbitmq":
                own = service_broker_url(addresses.broker, Service(_service(way)))
                environment["RABBITMQ_URL"] = to.leading_to(own)
            case "postgres":
                service = Service(_service(way))
                environment["DATABASE_URL"] = to.leading_to(database_url(addresses.postgres_admin_url, service))
            case "s3":
                # Workers and clients go by URLs that the artifacts service signs: whose way they take, it decides.
                name = "MINIO_ENDPOINT" if way.source == "artifacts-1" else "MINIO_WORKER_ENDPOINT"
                environments["artifacts-1"][name] = to.url
    environments["artifacts-1"]["MINIO_PUBLIC_ENDPOINT"] = addresses.s3.endpoint
    return environments


def _url_of(server: str, addresses: ServerAddresses) -> str:
    return {
        "rabbitmq": addresses.rabbitmq_url,
        "postgres": addresses.postgres_admin_url,
        "s3": addresses.s3.endpoint,
    }[server]


def _service(way: Way) -> str:
    return way.source.partition("-")[0]

"""One real stack whose processes are killed one after the other. It has a second gateway, and a worker for each place where
workers are killed."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from clients import Clients
from tests.crashes.kill_workers import ARMED_SLOTS, ARMED_WORKERS, kill_workers
from tests.crashes.system import System
from witness import Witness

from devstack.addresses import ServerAddresses
from devstack.databases import isolated_and_prepared
from devstack.services import Service, StackSettings, Superuser
from devstack.stack import Stack
from service_kit.database import driver_url

SUPERUSER = Superuser("crashes", "a password nobody guesses", "crashes-key-0123456789abcdef")
LEASE_TTL_SECONDS = 3.0


@pytest.fixture(scope="session")
async def own_servers(servers: ServerAddresses) -> AsyncIterator[ServerAddresses]:
    async with isolated_and_prepared(servers, SUPERUSER) as own:
        yield own


@pytest.fixture(scope="session")
async def stack(own_servers: ServerAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    doomed = {"WORKER_MODELS": ARMED_SLOTS, "SHUTDOWN_GRACE_SECONDS": "0"}
    settings = StackSettings(
        state_directory=tmp_path_factory.mktemp("crashes"),
        superuser=SUPERUSER,
        replicas={Service.GATEWAY: 2, Service.GPU_WORKER: 1 + len(ARMED_WORKERS)},
        worker_models="simulated-v1:8,silhouette-v1:1",
        log_format="json",
        extra={
            Service.GATEWAY: {"REPUBLISH_AFTER_SECONDS": "1"},
            Service.ORCHESTRATOR: {
                "LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS),
                "SWEEP_INTERVAL_SECONDS": "0.2",
                "REDISPATCH_AFTER_SECONDS": "1",
                "RELAY_PATIENCE_SECONDS": "1",
            },
            Service.GPU_WORKER: {"HEARTBEAT_INTERVAL_SECONDS": "0.5", "LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS)},
        },
        of_process={name: doomed | {"CRASH_POINT": point} for name, point in ARMED_WORKERS.items()},
    )
    async with Stack(own_servers, settings) as running:
        yield running


@pytest.fixture(scope="session")
async def witness(own_servers: ServerAddresses, stack: Stack) -> AsyncIterator[Witness]:
    witness = Witness(own_servers.rabbitmq_url, seed=0)
    witness.repeats = False
    async with witness:
        yield witness


@pytest.fixture(scope="session")
async def clients(stack: Stack) -> AsyncIterator[Clients]:
    """Of the gateway that nobody kills."""
    async with Clients([stack.api_url], stack.api_key, seed=0) as clients:
        yield clients


@pytest.fixture(scope="session")
async def database(own_servers: ServerAddresses, stack: Stack) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(driver_url(own_servers.postgres_admin_url), min_size=1, max_size=2) as pool:
        yield pool


@pytest.fixture(scope="session")
async def system(
    *, own_servers: ServerAddresses, stack: Stack, clients: Clients, witness: Witness, database: asyncpg.Pool
) -> System:
    # Workers are frozen while jobs are handed out to them. Their tasks must not count as lost meanwhile and go to another.
    await stack.stop("orchestrator-1")
    await stack.start_with("orchestrator-1", {"REDISPATCH_AFTER_SECONDS": "60"})
    await stack.wait_ready("orchestrator-1")
    in_dead_hands = await kill_workers(stack, clients, witness, database)
    await stack.restart("orchestrator-1")
    await stack.wait_ready("orchestrator-1")
    return System(own_servers, stack, clients, witness, database, in_dead_hands)

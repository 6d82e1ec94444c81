"""A migrated database and a broker of one test's own, and an orchestrator over them: whole, or its commit alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import aio_pika
import pytest
from pydantic import SecretStr
from services.orchestrator.tests.builders import MODEL, RULES
from services.orchestrator.tests.integration.world import World

from contracts.ids import JobId, ModelId
from devstack.addresses import PostgresAddress, RabbitAddress
from devstack.databases import provision_services, run_module
from devstack.isolation import create_database, create_vhost, database_name, drop_database, drop_vhost
from devstack.services import Service, database_url
from orchestrator import store
from orchestrator.app import build_app
from orchestrator.availability import Availability
from orchestrator.commit_batch import CommitBatch, Item, Said
from orchestrator.decision import Input, Rules, Verdict
from orchestrator.fill_windows import FillWindows
from orchestrator.job import Job
from orchestrator.relay import Relay
from orchestrator.settings import OrchestratorSettings
from service_kit.bus import Bus
from service_kit.database import Pool, open_pool
from service_kit.settings import DatabaseSettings

StartOrchestrator = Callable[..., Awaitable[None]]
StartWorld = Callable[..., Awaitable[World]]

# The patience of the relay stays: a busy machine must not have events said twice in tests that count them.
QUICK: dict[str, Any] = {"sweep_interval_seconds": 0.05, "lease_ttl_seconds": 60.0}


# --- servers ---


@pytest.fixture(scope="session")
async def migrated(postgres_address: PostgresAddress) -> AsyncIterator[str]:
    """The admin URL of a database with the orchestrator's tables and nothing in them: a template for each test's own."""
    url = await create_database(postgres_address.admin_url)
    await provision_services(url)
    await run_module("orchestrator.migrate", Service.ORCHESTRATOR, url)
    yield url
    await drop_database(url)


@pytest.fixture
async def admin_url(migrated: str) -> AsyncIterator[str]:
    url = await create_database(migrated, template=database_name(migrated))
    yield url
    await drop_database(url)


@pytest.fixture
def orchestrator_database_url(admin_url: str) -> str:
    """As the orchestrator's own role."""
    return database_url(admin_url, Service.ORCHESTRATOR)


@pytest.fixture
async def pool(orchestrator_database_url: str) -> AsyncIterator[Pool]:
    settings = DatabaseSettings(database_url=SecretStr(orchestrator_database_url))
    pool = await open_pool(settings, service="test")
    yield pool
    await pool.close()


@pytest.fixture
async def broker_url(rabbitmq_address: RabbitAddress) -> AsyncIterator[str]:
    own = await create_vhost(rabbitmq_address)
    yield own.url
    await drop_vhost(own)


@pytest.fixture
async def channel(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """The broker, seen from outside."""
    async with await aio_pika.connect(broker_url) as connection:
        yield await connection.channel()


# --- the whole service ---


@pytest.fixture
async def start_orchestrator(broker_url: str, orchestrator_database_url: str) -> AsyncIterator[StartOrchestrator]:
    """Starts a replica in this process; the arguments name settings."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> None:
            app = build_app(
                OrchestratorSettings(
                    database_url=SecretStr(orchestrator_database_url),
                    rabbitmq_url=SecretStr(broker_url),
                    **(QUICK | settings),
                )
            )
            await stack.enter_async_context(app.router.lifespan_context(app))

        yield start


@pytest.fixture
async def start_world(broker_url: str) -> AsyncIterator[StartWorld]:
    async with AsyncExitStack() as stack:

        async def start(**kind: Any) -> World:
            world = World(broker_url, **kind)
            await world.bus.start()
            stack.push_async_callback(world.bus.stop)
            return world

        yield start


@pytest.fixture
async def world(start_world: StartWorld) -> World:
    return await start_world()


# --- its commit alone ---


class Replica:
    """The group commit of one orchestrator, over a bus that is down: what it decided is in the database."""

    def __init__(self, pool: Pool, *, slots: int, window_per_slot: float, rules: Rules) -> None:
        self.pool = pool
        self.availability = Availability()
        self.availability.update({MODEL: slots})
        self.relay = Relay(Bus("amqp://localhost:1/", service="test"), pool)
        fill_windows = FillWindows(self.availability, window_per_slot=window_per_slot)
        self.commit_batch = CommitBatch(pool, self.relay, fill_windows, rules)

    async def commit(self, *batch: Input | Item) -> list[Verdict]:
        """All of it in one batch."""
        items = [item if isinstance(item, Item) else Said(item) for item in batch]
        return list(await self.commit_batch(items))

    async def job(self, job_id: JobId) -> Job:
        async with self.pool.acquire() as connection:
            return (await store.load_jobs(connection, [job_id]))[job_id]

    async def dispatched(self, model_id: ModelId = MODEL) -> list[Job]:
        """The jobs whose attempt is on the bus."""
        rows = await self.pool.fetch(
            "SELECT job_id FROM orchestrator.attempts WHERE model_id = $1 AND status = 'DISPATCHED'", model_id
        )
        async with self.pool.acquire() as connection:
            return list((await store.load_jobs(connection, [row["job_id"] for row in rows])).values())


MakeReplica = Callable[..., Replica]


@pytest.fixture
async def make_replica(pool: Pool) -> AsyncIterator[MakeReplica]:
    """A replica that knows of `slots` slots of the model."""
    made: list[Replica] = []

    def make(*, slots: int = 1, window_per_slot: float = 1.0, rules: Rules = RULES) -> Replica:
        made.append(Replica(pool, slots=slots, window_per_slot=window_per_slot, rules=rules))
        return made[-1]

    yield make
    for replica in made:
        with suppress(asyncio.CancelledError):
            await replica.relay.close()


@pytest.fixture
def replica(make_replica: MakeReplica) -> Replica:
    return make_replica()

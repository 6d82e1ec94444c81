"""A real gateway on real PostgreSQL and RabbitMQ, a front end, and an orchestrator that says what a test tells it to."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest
import uvicorn
from pydantic import SecretStr

from contracts import topology
from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import UserId
from contracts.jobs import JobCancelRequested, JobEvent, JobQueued, JobRequested, JobSpec, JobState
from contracts.message import Message
from contracts.states import JobStatus
from devstack.databases import provision_services, run_module
from devstack.services import Service, database_url
from gateway.app import build_app
from gateway.settings import GatewaySettings
from service_kit.bus import Bus
from service_kit.database import driver_url
from service_kit.ids import new_uuid

SUPERUSER_KEY = "the-superusers-own-key"


async def eventually(check: Callable[[], Awaitable[Any]], *, within_seconds: float = 10.0) -> Any:
    """The first truthy answer."""
    deadline = time.monotonic() + within_seconds
    while not (answer := await check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return answer


class Orchestrator:
    """Speaks and hears as the orchestrator does, and does nothing by itself."""

    def __init__(self, url: str) -> None:
        self.bus = Bus(url, service="orchestrator")
        self.requested: list[JobSpec] = []
        self.cancelled: list[UUID] = []
        self.bus.on(topology.ORCHESTRATOR_REQUESTS, JobRequested)(self._on_requested)
        self.bus.on(topology.ORCHESTRATOR_REQUESTS, JobCancelRequested)(self._on_cancel_requested)

    async def _on_requested(self, events: Any) -> None:
        self.requested += [event.data.job for event in events]

    async def _on_cancel_requested(self, events: Any) -> None:
        self.cancelled += [event.data.job_id for event in events]

    async def say(self, *messages: Message) -> None:
        for message in messages:
            event: CloudEvent[Any] = wrap(
                message, event_id=new_uuid().hex, source="test", subject="test", time=datetime.now(UTC)
            )
            await self.bus.publish(type(message), [event], durable=isinstance(message, JobEvent))

    async def request_for(self, job_id: str) -> JobSpec:
        async def heard() -> JobSpec | None:
            return next((job for job in self.requested if str(job.job_id) == job_id), None)

        job: JobSpec = await eventually(heard)
        return job


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any


class Client:
    """A front end with its API key."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str | None) -> None:
        self._http = http
        self.url = url
        self.key = key
        self._headers = {"x-api-key": key} if key else {}

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        if isinstance(body, bytes):
            return await self.ask("POST", path, data=body, **options)
        return await self.ask("POST", path, json=body, **options)

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        url = self.url + (path if path.startswith("//") else "/api/v1" + path)
        async with self._http.request(
            method, url.replace("//", "/").replace(":/", "://", 1), headers=self._headers | (headers or {}),
            allow_redirects=False, **options,
        ) as response:  # fmt: skip
            is_json = "json" in response.content_type
            return Answer(
                response.status, await response.json() if is_json else await response.text(), response.headers
            )

    async def create(self, model_id: str = "simulated-v1", **input_params: Any) -> str:
        answer = await self.post("/jobs/", {"model_id": model_id, "input_params": input_params})
        assert answer.status == 201, answer.body
        job_id: str = answer.body["id"]
        return job_id


@contextlib.asynccontextmanager
async def running_gateway(settings: GatewaySettings) -> AsyncIterator[str]:
    config = uvicorn.Config(build_app(settings), host="127.0.0.1", port=0, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the signals are pytest's
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        if task.done():
            task.result()
        return server.started

    try:
        await eventually(started)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with aiohttp.ClientSession() as http:

            async def ready() -> bool:
                async with http.get(f"{url}/health/ready") as response:
                    return response.status == 200

            await eventually(ready)
        yield url
    finally:
        server.should_exit = True
        await asyncio.wait([task])


@pytest.fixture(scope="session")
async def gateway_database(postgres_url: str) -> str:
    """The gateway's own URL of a migrated database with the master data."""
    await provision_services(postgres_url)
    await run_module("gateway.migrate", Service.GATEWAY, postgres_url)
    await run_module(
        "gateway.initial_data",
        Service.GATEWAY,
        postgres_url,
        {
            "FIRST_SUPERUSER_USERNAME": "admin",
            "FIRST_SUPERUSER_PASSWORD": "password",
            "FIRST_SUPERUSER_API_KEY": SUPERUSER_KEY,
        },
    )
    return database_url(postgres_url, Service.GATEWAY)


@pytest.fixture(scope="session")
async def database(gateway_database: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    async with asyncpg.create_pool(driver_url(gateway_database), min_size=1, max_size=2) as pool:
        yield pool


@pytest.fixture(scope="session")
def settings(gateway_database: str, rabbitmq_url: str, artifacts: Any) -> GatewaySettings:
    return GatewaySettings(
        database_url=SecretStr(gateway_database),
        rabbitmq_url=SecretStr(rabbitmq_url),
        artifacts_url=artifacts.url,
        artifacts_token=SecretStr(artifacts.token),
        backend_cors_origins="https://editor.example, http://localhost:3000/",
        api_key_cache_seconds=0.3,
        catalogue_refresh_seconds=0.2,
        queue_position_refresh_seconds=0.05,
        republish_after_seconds=2.0,
        database_pool_size=4,
        # Tests tell of jobs with fixed dates.
        job_retention_days=0.0,
        job_events_retention_days=0.0,
    )


@pytest.fixture(scope="session")
async def orchestrator(rabbitmq_url: str) -> AsyncIterator[Orchestrator]:
    orchestrator = Orchestrator(rabbitmq_url)
    await orchestrator.bus.start()
    yield orchestrator
    await orchestrator.bus.stop()


@pytest.fixture(scope="session")
async def gateway_url(settings: GatewaySettings, orchestrator: Orchestrator) -> AsyncIterator[str]:
    async with running_gateway(settings) as url:
        yield url


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="session")
def admin(gateway_url: str, http: aiohttp.ClientSession) -> Client:
    return Client(http, gateway_url, SUPERUSER_KEY)


@pytest.fixture
def stranger(gateway_url: str, http: aiohttp.ClientSession) -> Client:
    """Without a key."""
    return Client(http, gateway_url, None)


@pytest.fixture
async def newcomer(gateway_url: str, http: aiohttp.ClientSession, gateway_database: str) -> Client:
    """A user made for this test, who owns no job yet."""
    from gateway.users import add
    from service_kit.settings import DatabaseSettings

    settings = DatabaseSettings(database_url=SecretStr(gateway_database))
    return Client(http, gateway_url, await add(settings, f"user-{secrets.token_hex(4)}", priority=None))


@dataclass
class Facts:
    """The facts of one job, as the orchestrator would say them."""

    job: JobSpec

    def fact(
        self, event_type: type[JobEvent], seq: int, status: JobStatus, *, state: Any = None, **more: Any
    ) -> JobEvent:
        return event_type(
            job_id=self.job.job_id,
            seq=seq,
            user_id=self.job.user_id,
            model_id=self.job.model_id,
            occurred_at=datetime.now(UTC),
            state=JobState(status=status, **(state or {})),
            **more,
        )

    def queued(self) -> JobEvent:
        return self.fact(JobQueued, 1, JobStatus.QUEUED, job=self.job)


@pytest.fixture
def facts_of() -> type[Facts]:
    return Facts


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def gateway_with(settings: GatewaySettings) -> Callable[..., contextlib.AbstractAsyncContextManager[str]]:
    """Another gateway, with some settings changed."""
    return lambda **changes: running_gateway(settings.model_copy(update=changes))


@pytest.fixture
def client_of(http: aiohttp.ClientSession) -> Callable[[str], Client]:
    return lambda url: Client(http, url, SUPERUSER_KEY)


@pytest.fixture
def some_job() -> Callable[..., JobSpec]:
    """A job that nobody asked this gateway for."""

    def make(user_id: UUID) -> JobSpec:
        return JobSpec(
            job_id=new_uuid(), user_id=UserId(user_id), model_id="simulated-v1", input_params={"steps": 2},
            requested_at=datetime.now(UTC),
        )  # fmt: skip

    return make

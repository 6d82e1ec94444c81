"""A database and a broker that fail before and after the effect, as a seed says: one key is one job, and no answer is a 500.

`FAULT_SEEDS=1000-1500` runs these seeds instead of the usual few.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import aio_pika
import aiohttp
import asyncpg
import pytest
from pydantic import SecretStr
from services.gateway.tests.integration.conftest import SUPERUSER_KEY, Answer, Client
from services.gateway.tests.integration.faulted_gateway import faulted_gateway
from services.gateway.tests.integration.storyteller import WAITS, Storyteller

from contracts import topology
from contracts.jobs import JobSpec
from contracts.topology import DeadLetterQueue
from devstack.addresses import PostgresAddress, RabbitAddress
from devstack.databases import provision_services, run_module
from devstack.faults.plan import FaultPlan
from devstack.faults.short_pauses import short_pauses
from devstack.isolation import create_database, create_vhost, database_name, drop_database, drop_vhost
from devstack.services import Service, database_url
from gateway.settings import GatewaySettings
from service_kit.database import driver_url

_FIRST, _, _LAST = os.environ.get("FAULT_SEEDS", "1-8").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
_KEYS = 12
_OF_OTHERS = 6
_PATIENCE_SECONDS = 90.0


@pytest.fixture(autouse=True)
def pauses_are_short() -> Iterator[None]:
    with short_pauses():
        yield


@pytest.fixture(scope="session")
async def template(postgres_address: PostgresAddress) -> AsyncIterator[str]:
    """A database with the master data and no job, to which nobody is connected."""
    url = await create_database(postgres_address.admin_url)
    await provision_services(url)
    await run_module("gateway.migrate", Service.GATEWAY, url)
    superuser = {"USERNAME": "admin", "PASSWORD": "password", "API_KEY": SUPERUSER_KEY}
    environment = {f"FIRST_SUPERUSER_{name}": value for name, value in superuser.items()}
    await run_module("gateway.initial_data", Service.GATEWAY, url, environment)
    yield url
    await drop_database(url)


@pytest.fixture
async def own_database_url(template: str) -> AsyncIterator[str]:
    url = await create_database(template, template=database_name(template))
    yield database_url(url, Service.GATEWAY)
    await drop_database(url)


@pytest.fixture
async def own_broker_url(rabbitmq_address: RabbitAddress) -> AsyncIterator[str]:
    own = await create_vhost(rabbitmq_address)
    yield own.url
    await drop_vhost(own)


@pytest.fixture
def quick(own_database_url: str, own_broker_url: str, artifacts: Any) -> GatewaySettings:
    return GatewaySettings(
        database_url=SecretStr(own_database_url),
        rabbitmq_url=SecretStr(own_broker_url),
        artifacts_url=artifacts.url,
        artifacts_token=SecretStr(artifacts.token),
        api_key_cache_seconds=0.1,
        republish_after_seconds=0.2,
        database_pool_size=4,
    )


@pytest.fixture
async def own_database(own_database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    async with asyncpg.create_pool(driver_url(own_database_url), min_size=1, max_size=1) as pool:
        yield pool


@dataclass
class FrontEnd:
    """Tries again on every error, as the API tells it to, and remembers every answer."""

    client: Client
    seed: int
    jobs_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Which jobs were named in answer to each key."""
    answers: list[Answer] = field(default_factory=list)

    async def use(self, key: str) -> None:
        """Makes one job, by two requests at the same time or one; cancels it if it is of the kind that waits for that."""
        draw = Random(f"{self.seed}/{key}")
        waits = draw.random() < 0.3
        body = {"model_id": "simulated-v1", "input_params": {}, "prompt": WAITS if waits else key}
        await asyncio.sleep(draw.uniform(0, 0.2))
        await asyncio.gather(*(self._create(key, body) for _ in range(draw.choice((1, 2)))))
        job_id = min(self.jobs_of[key])
        if waits:
            await self._insist({200, 202}, "POST", f"/jobs/{job_id}/cancel")
        await self._insist({200}, "GET", f"/jobs/{job_id}")

    async def _create(self, key: str, body: Any) -> None:
        answer = await self._insist({200, 201}, "POST", "/jobs/", headers={"Idempotency-Key": key}, json=body)
        self.jobs_of[key].add(answer.body["id"])

    async def _insist(self, wanted: set[int], method: str, path: str, **options: Any) -> Answer:
        while True:
            answer = await self.client.ask(method, path, **options)
            self.answers.append(answer)
            if answer.status in wanted:
                return answer
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("seed", SEEDS)
async def test_one_key_is_one_job_that_is_heard_of_and_shown_as_it_is(
    *,
    seed: int,
    quick: GatewaySettings,
    own_broker_url: str,
    own_database: Any,
    some_job: Callable[[UUID], JobSpec],
) -> None:
    plan, others = FaultPlan(seed), [some_job(UUID(int=seed)) for _ in range(_OF_OTHERS)]
    orchestrator = Storyteller(own_broker_url, plan)
    await orchestrator.bus.start()
    try:
        # A session of its own: one that is shared keeps connections to gateways of other tests, whose ports come again.
        async with aiohttp.ClientSession() as http, faulted_gateway(quick, plan) as url:
            front_end = FrontEnd(Client(http, url, SUPERUSER_KEY), seed)
            plan.begin()
            for job in others:  # of another gateway: this one hears of them in whatever order
                orchestrator.take_on(job)
            keys = [f"key-{number}" for number in range(_KEYS)]
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await asyncio.gather(*map(front_end.use, keys))
            plan.end()
            promised = {str(job.job_id) for job in others}.union(*front_end.jobs_of.values())
            found = await _until_none(front_end, orchestrator, own_database, promised)
    finally:
        await orchestrator.stop()
    found += [f"{count} messages are left in {name}" for name, count in await _left(own_broker_url) if count]
    assert not found, "\n".join([*found, str(plan)])


async def _until_none(front_end: FrontEnd, orchestrator: Storyteller, database: Any, promised: set[str]) -> list[str]:
    """What is not as it must be, once nothing is, or after a while."""
    found = ["nothing was looked at"]
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while found:
                await asyncio.sleep(0.05)
                found = [
                    *_of_the_answers(front_end),
                    *(f"{job} was promised, and nobody has heard of it" for job in promised - _known(orchestrator)),
                    *(f"{job} is nobody's" for job in _known(orchestrator) - promised),
                    *await _of_the_views(orchestrator, database),
                ]
    return found


def _of_the_answers(front_end: FrontEnd) -> list[str]:
    found = [f"an answer was {answer.status} {answer.body}" for answer in front_end.answers if _is_wrong(answer)]
    found += [f"{key} made {sorted(jobs)}" for key, jobs in front_end.jobs_of.items() if len(jobs) > 1]
    if len(front_end.jobs_of) < _KEYS:
        found.append(f"only {len(front_end.jobs_of)} of {_KEYS} keys made a job")
    return found


def _is_wrong(answer: Answer) -> bool:
    if answer.status == 503:
        return "retry-after" not in answer.headers
    return answer.status not in {200, 201, 202, 404}  # 404: confirmed and not shown yet


def _known(orchestrator: Storyteller) -> set[str]:
    return {str(job_id) for job_id in orchestrator.logs}


async def _of_the_views(orchestrator: Storyteller, database: Any) -> list[str]:
    """Where the read model is not what the newest event says, or lacks a part of the log."""
    rows = await database.fetch("SELECT * FROM gateway.job_views")
    views = {row["id"]: row for row in rows}
    logged = defaultdict(list)
    for row in await database.fetch("SELECT job_id, seq FROM gateway.job_view_events ORDER BY job_id, seq"):
        logged[row["job_id"]].append(row["seq"])
    found = [] if orchestrator.is_silent else ["the orchestrator has more to say"]
    for job_id, log in orchestrator.logs.items():
        newest, view = log[-1], views.get(job_id)
        told = newest.seq, newest.state.status, newest.state.attempt, newest.state.completed_at
        shown = view and (view["seq"], view["status"], view["attempt"], view["completed_at"])
        if shown != told:
            found.append(f"{job_id} is {told}, and shown as {shown}")
        if logged[job_id] != [event.seq for event in log]:
            found.append(f"{job_id} has {len(log)} events, and {logged[job_id]} are shown")
    return found


async def _left(broker_url: str) -> list[tuple[str, int]]:
    """Messages that nobody acknowledged, and those among the dead."""
    names = [topology.ORCHESTRATOR_REQUESTS.name, topology.GATEWAY_PROJECTION.name]
    names += [DeadLetterQueue(queue).name for queue in topology.SHARED_QUEUES if queue.keeps_dead_letters]
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        declared = [await channel.declare_queue(name, passive=True) for name in names]
        return [(queue.name, queue.declaration_result.message_count or 0) for queue in declared]

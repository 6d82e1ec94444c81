"""A store and a broker that fail before and after the effect, as a seed says: no job is lost, and no result counts twice.

`FAULT_SEEDS=1000-1500` runs these seeds instead of the usual few.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import aio_pika
import pytest
from services.orchestrator.tests.builders import MODEL
from services.orchestrator.tests.integration.conftest import StartWorld
from services.orchestrator.tests.integration.faulted_ledger import Watch, unrest, violations
from services.orchestrator.tests.integration.faulted_population import MORTAL, RELIABLE, Population
from services.orchestrator.tests.integration.faulted_replica import faulted_replica

from contracts import topology
from contracts.cloudevents import CloudEvent
from contracts.jobs import JobEvent
from contracts.topology import DeadLetterQueue
from devstack.faults.bus import FaultyBus
from devstack.faults.plan import FaultPlan
from devstack.faults.short_pauses import short_pauses
from service_kit.database import Pool

_JOBS = 12
_FAULTS_SECONDS = 4.0
_PATIENCE_SECONDS = 90.0
_FIRST, _, _LAST = os.environ.get("FAULT_SEEDS", "1-10").partition("-")
SEEDS = range(int(_FIRST), int(_LAST or _FIRST) + 1)
_OURS = (topology.ORCHESTRATOR_REQUESTS, topology.ORCHESTRATOR_REPORTS)


@pytest.fixture(autouse=True)
def pauses_are_short() -> Iterator[None]:
    with short_pauses():
        yield


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_accepted_job_ends_once_and_everybody_hears_of_it(
    *,
    seed: int,
    pool: Pool,
    start_world: StartWorld,
    broker_url: str,
    orchestrator_database_url: str,
    channel: aio_pika.abc.AbstractChannel,
) -> None:
    plan, manners = FaultPlan(seed), MORTAL if seed % 2 else RELIABLE
    subscriber = await start_world(takes_tasks=False, worker_id="nobody")
    population = Population(broker_url, plan, manners)
    watch = Watch(pool)
    async with AsyncExitStack() as stack:
        buses = [
            await stack.enter_async_context(
                faulted_replica(
                    name,
                    plan,
                    broker_url=broker_url,
                    database_url=orchestrator_database_url,
                    lease_ttl_seconds=manners.lease_ttl_seconds,
                )
            )
            for name in ("one", "two")
        ]
        await population.start()
        plan.begin()
        stack.push_async_callback(population.stop)
        watching = asyncio.create_task(watch())
        stack.callback(watching.cancel)
        await population.ask(_JOBS)
        await _most_have_ended(pool)
        plan.end()
        population.calm()
        found = await _what_does_not_settle(pool, population, subscriber.heard, buses, channel)
        await watch.look()
    found += watch.violations + await violations(pool, population, subscriber.heard)
    found += await _left(channel)
    assert not found, "\n".join([*found, str(plan)])


async def _most_have_ended(pool: Pool) -> None:
    """Until then, or for so long, things fail; what that has brought to a halt goes on afterwards."""
    ended = "SELECT count(*) FROM orchestrator.jobs WHERE completed_at IS NOT NULL"
    with suppress(TimeoutError):
        async with asyncio.timeout(_FAULTS_SECONDS):
            while await pool.fetchval(ended) < _JOBS - 2:  # noqa: ASYNC110  # it is the tables'
                await asyncio.sleep(0.05)


async def _what_does_not_settle(
    pool: Pool,
    population: Population,
    heard: list[CloudEvent[JobEvent]],
    buses: list[FaultyBus],
    channel: aio_pika.abc.AbstractChannel,
) -> list[str]:
    """Nothing, as soon as nothing is left to do; what is left if that does not come."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := (
        await unrest(pool, population, heard)
        or [f"{bus.handling} deliveries are not answered" for bus in buses if bus.handling]
        or await _left(channel)
    ):
        if time.monotonic() > deadline:
            return [f"even in the end {sentence}" for sentence in left]
        await asyncio.sleep(0.1)
    return []


async def _left(channel: aio_pika.abc.AbstractChannel) -> list[str]:
    """Messages that nobody acknowledged, and those among the dead."""
    tasks = topology.worker_tasks(MODEL)
    names = [queue.name for queue in _OURS]
    names += [DeadLetterQueue(queue).name for queue in (*topology.SHARED_QUEUES, tasks) if queue.keeps_dead_letters]
    declared = [(await channel.declare_queue(name, passive=True)).declaration_result for name in names]
    return [f"{queue.message_count} messages are left in {queue.queue}" for queue in declared if queue.message_count]

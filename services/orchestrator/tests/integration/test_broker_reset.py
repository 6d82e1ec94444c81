"""A broker that lost everything it held: what was on its way is said again from PostgreSQL."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from services.orchestrator.tests.builders import a_spec, requested, started
from services.orchestrator.tests.integration.conftest import MakeReplica, StartOrchestrator, StartWorld
from services.orchestrator.tests.integration.world import World

from contracts.cloudevents import wrap
from contracts.jobs import JobQueued, JobRequested, JobStarted
from contracts.topology import ORCHESTRATOR_KEEPSAKE
from devstack.addresses import RabbitAddress
from devstack.polling import until
from orchestrator import store
from orchestrator.relay import Relay
from orchestrator.watch_broker import WatchBroker
from service_kit.bus import Bus
from service_kit.database import Pool
from service_kit.keepsake import BrokerMemory

LONG_AGO = timedelta(hours=1)

Reset = Callable[[], Awaitable[None]]


@pytest.fixture
def reset_broker(rabbitmq_address: RabbitAddress, broker_url: str) -> Reset:
    """Every queue, exchange, binding and message is gone, and every connection cut."""

    async def reset() -> None:
        assert rabbitmq_address.vhosts is not None
        vhost = urlsplit(broker_url).path.lstrip("/")
        await rabbitmq_address.vhosts.drop(vhost)
        await rabbitmq_address.vhosts.create(vhost)

    return reset


def watcher(bus: Bus, pool: Pool, relay: Relay, *, margin: timedelta = LONG_AGO) -> WatchBroker:
    return WatchBroker(pool, bus, relay, BrokerMemory(bus, ORCHESTRATOR_KEEPSAKE), margin=margin)


async def forget(bus: Bus) -> None:
    """The quick way for a broker to be without its keepsake."""
    async with bus.question() as channel:
        await (await channel.get_queue(ORCHESTRATOR_KEEPSAKE.name)).purge()


async def progress(pool: Pool) -> dict[str, object]:
    row = await pool.fetchrow("SELECT generation, heard_until, retell_from FROM orchestrator.broker")
    assert row is not None
    return dict(row)


# --- the whole service ---


async def test_events_that_only_the_broker_had_are_told_again_after_it_lost_them(
    start_orchestrator: StartOrchestrator, start_world: StartWorld, broker_url: str, reset_broker: Reset, pool: Pool
) -> None:
    await start_orchestrator()

    async def has_met_the_broker() -> bool:
        return (await progress(pool))["heard_until"] is not None

    assert await until(has_met_the_broker, timeout_seconds=20)
    nobody_listens = Bus(broker_url, service="test")
    await nobody_listens.start()
    specs = [a_spec() for _ in range(20)]
    await say_requests(nobody_listens, *map(requested, specs))
    await until_published(pool, len(specs))
    await nobody_listens.stop()
    await reset_broker()
    world = await start_world()
    for spec in specs:
        await world.told(spec.job_id, JobQueued)


async def test_a_task_that_only_the_broker_had_is_said_again_after_it_lost_it(
    start_orchestrator: StartOrchestrator, start_world: StartWorld, reset_broker: Reset
) -> None:
    await start_orchestrator(redispatch_after_seconds=0.2)
    asker = await start_world(takes_tasks=False)
    await asker.heartbeat()
    spec = a_spec()
    await asker.request(spec)
    await asker.told(spec.job_id, JobQueued)
    await asker.bus.stop()  # it would share the events with the next
    await reset_broker()
    worker = await start_world()
    task = await worker.next_task()
    assert task.job_id == spec.job_id
    await worker.say(started(spec.job_id, task.attempt_id))
    await worker.told(spec.job_id, JobStarted)


# --- what is noted, and from when it is told again ---


async def test_the_first_broker_ever_met_has_lost_nothing(world: World, pool: Pool) -> None:
    relay = Relay(world.bus, pool)
    await watcher(world.bus, pool, relay)()
    noted = await progress(pool)
    assert (noted["generation"], noted["retell_from"]) == (0, None)
    assert noted["heard_until"] is not None


async def test_while_a_subscriber_has_not_taken_everything_the_mark_stays(
    world: World, pool: Pool, broker_url: str, make_replica: MakeReplica
) -> None:
    relay = Relay(world.bus, pool)
    watch = watcher(world.bus, pool, relay)
    await watch()
    before = (await progress(pool))["heard_until"]
    await make_replica(slots=0).commit(requested(a_spec()))
    await relay.publish_left_behind(0)  # artifacts.inputs has no consumer here
    await watch()
    assert (await progress(pool))["heard_until"] == before
    async with world.bus.question() as channel:
        await (await channel.get_queue("artifacts.inputs")).purge()
    await watch()
    later = (await progress(pool))["heard_until"]
    assert isinstance(later, datetime)
    assert isinstance(before, datetime)
    assert later > before


async def test_what_everybody_has_heard_is_not_told_again(world: World, pool: Pool, make_replica: MakeReplica) -> None:
    relay = Relay(world.bus, pool)
    watch = watcher(world.bus, pool, relay, margin=timedelta(0))
    await watch()
    old, new = a_spec(), a_spec()
    replica = make_replica(slots=0)
    await replica.commit(requested(old))
    await relay.publish_left_behind(0)
    await world.told(old.job_id, JobQueued)
    async with world.bus.question() as channel:
        await (await channel.get_queue("artifacts.inputs")).purge()
    await watch()
    await replica.commit(requested(new))
    await relay.publish_left_behind(0)
    await world.told(new.job_id, JobQueued)
    await forget(world.bus)
    await watch()
    await world.told(new.job_id, JobQueued, times=2)
    assert [event.data.job_id for event in world.heard] == [old.job_id, new.job_id, new.job_id]
    assert (await progress(pool))["retell_from"] is None


async def test_what_the_last_broker_confirmed_is_not_marked_as_published_under_this_one(
    world: World, pool: Pool, make_replica: MakeReplica
) -> None:
    relay = Relay(world.bus, pool)
    watch = watcher(world.bus, pool, relay)
    await watch()
    spec = a_spec()
    await make_replica(slots=0).commit(requested(spec))
    async with pool.acquire() as connection:
        unpublished = await store.unpublished(connection, 0, 10)
    await relay.publish_events(unpublished)  # confirmed, and not yet recorded
    await forget(world.bus)
    await watch()
    await relay.record_confirmed()
    assert await pool.fetchval("SELECT published_at FROM orchestrator.job_events") is None
    await relay.publish_left_behind(0)
    await world.told(spec.job_id, JobQueued, times=2)
    assert await pool.fetchval("SELECT published_at FROM orchestrator.job_events") is not None


async def test_a_replica_that_dies_while_it_tells_again_is_continued_by_another(
    world: World, pool: Pool, make_replica: MakeReplica
) -> None:
    relay = Relay(world.bus, pool)
    watch = watcher(world.bus, pool, relay)
    await watch()
    spec = a_spec()
    await make_replica(slots=0).commit(requested(spec))
    await relay.publish_left_behind(0)
    await world.told(spec.job_id, JobQueued)
    async with pool.acquire() as connection:
        await store.begin_generation(connection, LONG_AGO)
        dying = connection.transaction()
        await dying.start()
        assert await store.take_span_to_retell(connection, 2 * LONG_AGO)
        await dying.rollback()
    await watch()
    await world.told(spec.job_id, JobQueued, times=2)
    assert (await progress(pool))["retell_from"] is None


async def test_two_replicas_that_notice_a_reset_at_once_leave_nothing_untold(
    world: World, pool: Pool, make_replica: MakeReplica
) -> None:
    relays = [Relay(world.bus, pool) for _ in range(2)]
    watchers = [watcher(world.bus, pool, relay) for relay in relays]
    await watchers[0]()
    spec = a_spec()
    await make_replica(slots=0).commit(requested(spec))
    await relays[0].publish_left_behind(0)
    await world.told(spec.job_id, JobQueued)
    await forget(world.bus)
    for watch in watchers:
        await watch()
    await world.told(spec.job_id, JobQueued, times=2)
    assert relays[0].broker_generation <= relays[1].broker_generation == (await progress(pool))["generation"]


async def say_requests(bus: Bus, *requests: JobRequested) -> None:
    for request in requests:
        event = wrap(
            request, event_id=f"{request.job.job_id}", source="/test", subject="test", time=request.job.requested_at
        )
        await bus.publish(JobRequested, [event])


async def until_published(pool: Pool, count: int) -> None:
    async def published() -> bool:
        found = await pool.fetchval("SELECT count(*) FROM orchestrator.job_events WHERE published_at IS NOT NULL")
        return bool(found == count)

    assert await until(published, timeout_seconds=20)

"""What the gauges say is what PostgreSQL and RabbitMQ hold, and nothing once nobody can say."""

import math
from datetime import timedelta

import aio_pika
import pytest
from prometheus_client import REGISTRY
from services.orchestrator.tests.builders import MODEL, a_spec, cancel, failed, requested, started, succeeded
from services.orchestrator.tests.integration.conftest import MakeReplica, Replica
from services.orchestrator.tests.integration.world import World, heartbeat

from contracts import topology
from contracts.ids import AttemptId, JobId, ModelId, WorkerId
from contracts.jobs import JobSpec
from contracts.topology import DeadLetterQueue, Exchange, worker_tasks
from devstack.polling import until
from orchestrator.ask_queues import AskQueues
from orchestrator.hear_heartbeats import HearHeartbeats
from orchestrator.relay import Relay
from orchestrator.take_census import TakeCensus
from service_kit.database import Pool
from service_kit.errors import BusUnavailableError
from service_kit.ids import new_uuid

UNSERVED = ModelId("unserved-v1")
LEASE_TTL_SECONDS = 15.0  # of the builders' rules


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def of_model(model_id: ModelId = MODEL) -> dict[str, float | None]:
    """Everything the census of jobs says of a model, but ages."""
    names = ("backlog", "dispatched", "dispatch_window", "live_workers", "live_slots")
    states = {state: gauge("p3d_jobs", model=model_id, state=state) for state in ("QUEUED", "RUNNING")}
    return states | {name: gauge(f"p3d_{name}", model=model_id) for name in names}


@pytest.fixture
def take_census(pool: Pool) -> TakeCensus:
    return a_census(pool)


def a_census(pool: Pool, *, stale_after_seconds: float = 60.0) -> TakeCensus:
    return TakeCensus(
        pool, window_per_slot=1.0, lease_ttl_seconds=LEASE_TTL_SECONDS, stale_after_seconds=stale_after_seconds
    )


@pytest.fixture
async def hear(pool: Pool, world: World) -> HearHeartbeats:
    return HearHeartbeats(pool, Relay(world.bus, pool), lambda: None, lease_ttl_seconds=LEASE_TTL_SECONDS)


async def start(replica: Replica, spec: JobSpec) -> None:
    current = (await replica.job(spec.job_id)).current
    assert current is not None
    await replica.commit(started(spec.job_id, current.attempt_id))


# --- jobs and workers ---


async def test_jobs_are_counted_where_they_are(
    take_census: TakeCensus, make_replica: MakeReplica, hear: HearHeartbeats
) -> None:
    replica = make_replica(slots=2)
    specs = [a_spec() for _ in range(5)]
    await replica.commit(*map(requested, specs))  # two of them go on the bus
    for dispatched in await replica.dispatched():
        await start(replica, dispatched.spec)  # and two more follow
    await replica.commit(*(requested(a_spec(model_id=UNSERVED)) for _ in range(3)))
    await hear([heartbeat(slots=2), heartbeat(worker_id=WorkerId("w-2"), slots=3)])
    await take_census()
    assert of_model() == {
        "QUEUED": 3,
        "RUNNING": 2,
        "backlog": 5,
        "dispatched": 2,
        "dispatch_window": 5,
        "live_workers": 2,
        "live_slots": 5,
    }
    assert of_model(UNSERVED) == {
        "QUEUED": 3,
        "RUNNING": 0,
        "backlog": 3,
        "dispatched": 0,
        "dispatch_window": 0,
        "live_workers": 0,
        "live_slots": 0,
    }
    assert take_census.models == {MODEL, UNSERVED}


async def test_a_model_that_nobody_asks_for_or_serves_any_more_is_gone(
    pool: Pool, replica: Replica, hear: HearHeartbeats
) -> None:
    spec = a_spec(model_id=UNSERVED)
    await replica.commit(requested(spec))
    await hear([heartbeat()])
    await a_census(pool)()
    assert (of_model(UNSERVED)["QUEUED"], of_model()["live_slots"]) == (1, 1)
    await replica.commit(cancel(spec.job_id))
    await hear([heartbeat().model_copy(update={"stopping": True})])
    await a_census(pool)()
    assert set(of_model(UNSERVED).values()) == set(of_model().values()) == {None}


async def test_a_model_that_is_served_and_idle_shows_zeros(take_census: TakeCensus, hear: HearHeartbeats) -> None:
    """An autoscaler that goes by them must tell "nothing to do" from "not known"."""
    await hear([heartbeat()])
    await take_census()
    assert (of_model()["QUEUED"], of_model()["RUNNING"], of_model()["backlog"]) == (0, 0, 0)
    assert gauge("p3d_oldest_queued_seconds", model=MODEL) == gauge("p3d_lease_age_seconds", model=MODEL) == 0


@pytest.mark.parametrize("slots", [0, 1])
async def test_the_oldest_queued_job_counts_from_its_acceptance_whether_it_waits_or_is_on_the_bus(
    take_census: TakeCensus, make_replica: MakeReplica, pool: Pool, slots: int
) -> None:
    replica = make_replica(slots=slots)
    old, new = a_spec(), a_spec()
    await replica.commit(requested(old))
    await replica.commit(requested(new))
    await pool.execute(
        "UPDATE orchestrator.jobs SET accepted_at = now() - interval '100 s' WHERE job_id = $1", old.job_id
    )
    await take_census()
    assert gauge("p3d_oldest_queued_seconds", model=MODEL) == pytest.approx(100, abs=20)


async def test_the_lease_age_is_of_the_attempt_least_recently_heard_of(
    take_census: TakeCensus, make_replica: MakeReplica, pool: Pool
) -> None:
    replica = make_replica(slots=2)
    silent, heard = a_spec(), a_spec()
    await replica.commit(requested(silent), requested(heard))
    for spec in (silent, heard):
        await start(replica, spec)
    # As if the one's last heartbeat had come 9 s ago, and the other's just now.
    await pool.execute(
        "UPDATE orchestrator.attempts SET lease_expires_at = now() + $2::interval WHERE job_id = $1",
        silent.job_id,
        timedelta(seconds=LEASE_TTL_SECONDS - 9),
    )
    await take_census()
    assert gauge("p3d_lease_age_seconds", model=MODEL) == pytest.approx(9, abs=0.5)


async def test_the_relays_lag_is_the_age_of_the_oldest_event_nobody_has_confirmed(
    pool: Pool, make_replica: MakeReplica, world: World
) -> None:
    await a_census(pool)()
    assert gauge("p3d_relay_lag_seconds") == 0
    spec = a_spec()
    await make_replica(slots=0).commit(requested(spec))  # over a bus that is down
    await pool.execute("UPDATE orchestrator.job_events SET occurred_at = now() - interval '50 s'")
    await a_census(pool)()
    assert gauge("p3d_relay_lag_seconds") == pytest.approx(50, abs=20)
    await Relay(world.bus, pool).publish_left_behind(0)
    await a_census(pool)()
    assert gauge("p3d_relay_lag_seconds") == 0


async def test_gauges_that_cannot_be_renewed_are_removed(pool: Pool, replica: Replica) -> None:
    take_census = a_census(pool, stale_after_seconds=0)
    await replica.commit(requested(a_spec()))
    await take_census()
    assert of_model()["backlog"] == 1
    await replica.relay.close()
    await pool.close()

    async def fails() -> bool:
        try:
            await take_census()
        except Exception:
            return True
        return False  # not yet: a census is taken only in a fiftieth of the time

    assert await until(fails, timeout_seconds=10)
    assert set(of_model().values()) == {None}
    assert math.isnan(gauge("p3d_relay_lag_seconds") or 0)


async def test_a_census_counts_nothing_that_ended(take_census: TakeCensus, make_replica: MakeReplica) -> None:
    replica = make_replica(slots=5)
    good, bad = a_spec(), a_spec(max_attempts=1)
    await replica.commit(requested(good), requested(bad))
    for spec, end in ((good, succeeded), (bad, failed)):
        current = (await replica.job(spec.job_id)).current
        assert current is not None
        await replica.commit(started(spec.job_id, current.attempt_id), end(spec.job_id, current.attempt_id))
    await take_census()
    assert set(of_model().values()) == {None}


# --- queues ---


@pytest.fixture
async def ask_queues(world: World) -> AskQueues:
    return AskQueues(world.bus, lambda: [UNSERVED, MODEL], stale_after_seconds=0)


async def test_queues_show_what_waits_in_them_and_who_consumes_them(
    ask_queues: AskQueues, world: World, channel: aio_pika.abc.AbstractChannel
) -> None:
    # In two queues that nobody consumes here.
    await world.say(*(started(JobId(new_uuid()), AttemptId(new_uuid())) for _ in range(3)))
    exchange = await channel.get_exchange(Exchange.DEAD_LETTERS)
    await exchange.publish(aio_pika.Message(b"x"), topology.ORCHESTRATOR_REQUESTS.name)
    await ask_queues()
    assert gauge("p3d_queue_ready", queue=topology.ORCHESTRATOR_REPORTS.name) == 3
    assert gauge("p3d_queue_consumers", queue=topology.ORCHESTRATOR_REPORTS.name) == 0
    assert gauge("p3d_queue_ready", queue=topology.GATEWAY_PROJECTION.name) == 0
    assert gauge("p3d_queue_consumers", queue=topology.GATEWAY_PROJECTION.name) == 1
    assert gauge("p3d_queue_consumers", queue=worker_tasks(MODEL).name) == 1
    assert gauge("p3d_dead_letters_waiting", queue=topology.ORCHESTRATOR_REQUESTS.name) == 1
    assert gauge("p3d_dead_letters_waiting", queue=worker_tasks(MODEL).name) == 0
    assert gauge("p3d_queue_ready", queue=DeadLetterQueue(topology.ORCHESTRATOR_REQUESTS).name) is None


async def test_the_queue_of_a_model_that_was_never_served_is_no_error(ask_queues: AskQueues) -> None:
    await ask_queues()
    assert gauge("p3d_queue_ready", queue=worker_tasks(UNSERVED).name) is None
    assert gauge("p3d_queue_ready", queue=worker_tasks(MODEL).name) == 0
    assert gauge("p3d_queue_ready", queue=topology.ANALYTICS_EVENTS.name) is None, "nothing waits in a stream"


async def test_what_a_broker_that_is_away_held_is_not_shown_for_true(ask_queues: AskQueues, world: World) -> None:
    await ask_queues()
    assert gauge("p3d_queue_ready", queue=topology.GATEWAY_PROJECTION.name) == 0
    await world.bus.stop()
    with pytest.raises(BusUnavailableError):
        await ask_queues()
    assert gauge("p3d_queue_ready", queue=topology.GATEWAY_PROJECTION.name) is None
    assert gauge("p3d_dead_letters_waiting", queue=topology.GATEWAY_PROJECTION.name) is None

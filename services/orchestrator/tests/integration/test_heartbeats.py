"""What a worker's heartbeat does to the attempts it names."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from uuid import uuid4

import pytest
from services.orchestrator.tests.builders import (
    OTHER_WORKER,
    RULES,
    WORKER,
    a_spec,
    cancel,
    requested,
    started,
    succeeded,
)
from services.orchestrator.tests.integration.conftest import MakeReplica, Replica, StartOrchestrator
from services.orchestrator.tests.integration.world import World, heartbeat

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId
from contracts.states import JobStatus
from devstack.polling import until
from orchestrator import store
from orchestrator.commit_batch import Commits
from orchestrator.decision import LeaseLapsed, Rules
from orchestrator.hear_heartbeats import HearHeartbeats
from orchestrator.relay import Relay
from orchestrator.watch_clock import WatchClock
from service_kit.batcher import Batcher
from service_kit.database import Pool


@pytest.fixture
async def hear(pool: Pool, world: World) -> AsyncIterator[HearHeartbeats]:
    relay = Relay(world.bus, pool)
    yield HearHeartbeats(pool, relay, lambda: None, lease_ttl_seconds=3600)
    await relay.close()


@pytest.fixture
def replica(make_replica: MakeReplica) -> Replica:
    return make_replica(slots=10)


@pytest.fixture
def make_attempt(replica: Replica) -> Callable[[], Awaitable[tuple[JobId, AttemptId]]]:
    """A job whose attempt is on the bus."""

    async def make() -> tuple[JobId, AttemptId]:
        spec = a_spec()
        await replica.commit(requested(spec))
        current = (await replica.job(spec.job_id)).current
        assert current is not None
        return spec.job_id, current.attempt_id

    return make


MakeAttempt = Callable[[], Awaitable[tuple[JobId, AttemptId]]]


async def lease(pool: Pool, attempt_id: AttemptId) -> datetime | None:
    return await pool.fetchval(  # type: ignore[no-any-return]  # asyncpg has no types for columns
        "SELECT lease_expires_at FROM orchestrator.attempts WHERE attempt_id = $1", attempt_id
    )


async def test_a_heartbeat_renews_the_lease_of_what_its_worker_runs(
    hear: HearHeartbeats, replica: Replica, make_attempt: MakeAttempt
) -> None:
    job_id, attempt_id = await make_attempt()
    await replica.commit(started(job_id, attempt_id))
    before = await lease(replica.pool, attempt_id)
    await hear([heartbeat(attempt_id)])
    after = await lease(replica.pool, attempt_id)
    assert before is not None
    assert after is not None
    assert after > before


async def test_a_renewed_lease_does_not_lapse(
    hear: HearHeartbeats, make_replica: MakeReplica, replica: Replica, make_attempt: MakeAttempt
) -> None:
    at_once = make_replica(rules=Rules(lease_ttl=RULES.lease_ttl * 0, execution_grace=RULES.execution_grace))
    job_id, attempt_id = await make_attempt()
    await at_once.commit(started(job_id, attempt_id))
    async with replica.pool.acquire() as connection:
        assert ("lease", job_id, attempt_id) in await store.due_timers(connection, 10)
    await hear([heartbeat(attempt_id)])
    assert await replica.commit(LeaseLapsed(job_id, attempt_id)) == ["not_due"]


async def test_a_lease_that_ran_out_while_no_orchestrator_was_there_to_hear_is_renewed_by_a_worker_that_lives(
    start_orchestrator: StartOrchestrator, world: World, replica: Replica, make_attempt: MakeAttempt
) -> None:
    job_id, attempt_id = await make_attempt()
    await replica.commit(started(job_id, attempt_id))
    await replica.pool.execute("UPDATE orchestrator.attempts SET lease_expires_at = now() - interval '1 hour'")
    await start_orchestrator(lease_ttl_seconds=2.0)
    await world.heartbeat(attempt_id)

    async def is_renewed() -> bool:
        return bool(await replica.pool.fetchval("SELECT lease_expires_at > now() FROM orchestrator.attempts"))

    assert await until(is_renewed, timeout_seconds=20)
    assert (await replica.job(job_id)).status is JobStatus.RUNNING


async def test_after_a_time_in_which_nothing_could_be_recorded_no_lease_lapses_for_a_lease(
    replica: Replica, make_attempt: MakeAttempt
) -> None:
    """The database was away, or this process frozen: the first look for long, as the very first is."""
    job_id, attempt_id = await make_attempt()
    await replica.commit(started(job_id, attempt_id))
    await replica.pool.execute("UPDATE orchestrator.attempts SET lease_expires_at = now() - interval '1 hour'")
    commits: Commits = Batcher(replica.commit_batch, max_batch=10)
    look = WatchClock(replica.pool, commits, replica.availability, listening_for=lambda: 3600.0, lease_ttl_seconds=1.0)
    began = time.monotonic()

    async def has_lapsed() -> bool:
        await look()
        return (await replica.job(job_id)).attempts_made == 1 and await replica.pool.fetchval(
            "SELECT status = 'LOST' FROM orchestrator.attempts WHERE attempt_id = $1", attempt_id
        )

    assert await until(has_lapsed, timeout_seconds=20)
    assert time.monotonic() - began >= 1.0


async def test_of_several_heartbeats_of_a_worker_the_latest_counts(
    hear: HearHeartbeats, replica: Replica, make_attempt: MakeAttempt
) -> None:
    job_id, attempt_id = await make_attempt()
    await replica.commit(started(job_id, attempt_id))
    before = await lease(replica.pool, attempt_id)
    early, late = heartbeat(attempt_id), heartbeat()
    await hear([late, early])
    assert await lease(replica.pool, attempt_id) == before


async def test_a_worker_is_told_to_let_go_of_what_another_runs_or_what_is_over(
    hear: HearHeartbeats, world: World, replica: Replica, make_attempt: MakeAttempt
) -> None:
    job_id, foreign = await make_attempt()
    await replica.commit(started(job_id, foreign, OTHER_WORKER))
    job_id, over = await make_attempt()
    await replica.commit(started(job_id, over), succeeded(job_id, over))
    before = await lease(replica.pool, foreign)
    await hear([heartbeat(foreign, over)])
    aborts = [await world.next_abort(), await world.next_abort()]
    assert {abort.attempt_id for abort in aborts} == {foreign, over}
    assert {abort.reason for abort in aborts} == {FailureCode.WORKER_LOST}
    assert await lease(replica.pool, foreign) == before


async def test_a_worker_is_reminded_of_a_cancel(
    hear: HearHeartbeats, world: World, replica: Replica, make_attempt: MakeAttempt
) -> None:
    job_id, attempt_id = await make_attempt()
    await replica.commit(started(job_id, attempt_id), cancel(job_id))
    await hear([heartbeat(attempt_id)])
    abort = await world.next_abort()
    assert (abort.attempt_id, abort.reason) == (attempt_id, FailureCode.CANCELLED)


async def test_an_attempt_whose_start_is_still_on_its_way_is_left_alone(
    hear: HearHeartbeats, world: World, replica: Replica, make_attempt: MakeAttempt
) -> None:
    """It overtook `AttemptStarted`, which travels by another queue. Nor does it have a lease to renew yet."""
    _, on_its_way = await make_attempt()
    await hear([heartbeat(on_its_way)])
    assert await lease(replica.pool, on_its_way) is None
    job_id, over = await make_attempt()
    await replica.commit(started(job_id, over), succeeded(job_id, over))
    await hear([heartbeat(over)])
    assert (await world.next_abort()).attempt_id == over  # and none came before it


async def test_an_attempt_that_nobody_knows_is_no_error(hear: HearHeartbeats) -> None:
    await hear([heartbeat(AttemptId(uuid4()))])


async def test_slots_are_counted_of_workers_that_are_alive_and_stay(hear: HearHeartbeats, pool: Pool) -> None:
    one, other = ModelId("one"), ModelId("other")
    stopping = heartbeat(worker_id=OTHER_WORKER, slots=5, model_id=one).model_copy(update={"stopping": True})
    await hear([heartbeat(worker_id=WORKER, slots=2, model_id=one), stopping])
    async with pool.acquire() as connection:
        assert await store.live_slots(connection, 3.0) == {one: 2}
    await hear([heartbeat(worker_id=OTHER_WORKER, slots=5, model_id=other)])
    async with pool.acquire() as connection:
        assert await store.live_slots(connection, 3.0) == {one: 2, other: 5}
        assert await store.live_slots(connection, 0.0) == {}  # nobody was heard of within no time at all
        await store.forget_workers(connection, -1.0)
        assert await store.live_slots(connection, 3.0) == {}


async def test_only_a_worker_that_was_not_known_wakes_the_dispatcher(pool: Pool, world: World) -> None:
    woken: list[None] = []
    relay = Relay(world.bus, pool)
    hear = HearHeartbeats(pool, relay, lambda: woken.append(None), lease_ttl_seconds=60)
    await hear([heartbeat()])
    await hear([heartbeat()])
    await relay.close()
    assert len(woken) == 1

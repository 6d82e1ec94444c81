"""What a commit made true is said, whatever happened between the two."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby

import pytest
from services.orchestrator.tests.builders import a_spec, cancel, failed, requested, stage_changed, started, succeeded
from services.orchestrator.tests.integration.conftest import MakeReplica
from services.orchestrator.tests.integration.world import World

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId
from contracts.jobs import JobQueued
from orchestrator.decision import Dispatch, Input
from orchestrator.relay import Relay
from service_kit.bus import Bus
from service_kit.database import Pool
from service_kit.errors import BusUnavailableError
from service_kit.ids import new_uuid

Commit = Callable[..., Awaitable[object]]


@pytest.fixture
def commit(make_replica: MakeReplica) -> Commit:
    """Commits without anything being said: the broker is away, and the dispatcher has nobody to dispatch to."""
    return make_replica(slots=0).commit


async def unpublished(pool: Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM orchestrator.job_events WHERE published_at IS NULL")
    return count


def eventful_life(job_id: JobId) -> list[Input]:
    """Handed back twice, cancelled too late."""
    life: list[Input] = [requested(a_spec(job_id))]
    for code in (FailureCode.WORKER_SHUTDOWN, FailureCode.WORKER_SHUTDOWN, None):
        attempt_id = AttemptId(new_uuid())
        life += [Dispatch(job_id, attempt_id), started(job_id, attempt_id), stage_changed(job_id, attempt_id)]
        life += [failed(job_id, attempt_id, code)] if code else [cancel(job_id), succeeded(job_id, attempt_id)]
    return life


async def test_events_that_were_never_said_are_said_and_marked(pool: Pool, world: World, commit: Commit) -> None:
    specs = [a_spec() for _ in range(5)]
    await commit(*map(requested, specs))
    assert await unpublished(pool) == 5
    relay = Relay(world.bus, pool)
    await relay.publish_left_behind(0)
    for spec in specs:
        await world.told(spec.job_id, JobQueued)
    assert await unpublished(pool) == 0
    await relay.publish_left_behind(0)
    await relay.close()
    assert len(world.heard) == 5


async def test_a_jobs_events_are_said_in_the_order_of_its_life(pool: Pool, world: World, commit: Commit) -> None:
    jobs = [a_spec().job_id for _ in range(3)]
    await commit(*(message for job_id in jobs for message in eventful_life(job_id)))
    await Relay(world.bus, pool).publish_left_behind(0)
    for job_id in jobs:
        await world.events_of(job_id, 11)
    in_order_heard = sorted(((event.data.job_id, event.data.seq) for event in world.heard), key=lambda heard: heard[0])
    for _, of_job in groupby(in_order_heard, key=lambda heard: heard[0]):
        assert [seq for _, seq in of_job] == list(range(1, 12))


async def test_an_event_that_its_own_replica_may_still_be_saying_is_left_to_it(
    pool: Pool, world: World, commit: Commit
) -> None:
    await commit(requested(a_spec()))
    await Relay(world.bus, pool).publish_left_behind(3600)
    assert await unpublished(pool) == 1


async def test_while_the_broker_is_away_nothing_is_marked_as_said(pool: Pool, commit: Commit) -> None:
    await commit(requested(a_spec()))
    with pytest.raises(BusUnavailableError):
        await Relay(Bus("amqp://localhost:1/", service="test"), pool).publish_left_behind(0)
    assert await unpublished(pool) == 1


async def test_two_replicas_share_what_was_left_behind(pool: Pool, world: World, commit: Commit) -> None:
    specs = [a_spec() for _ in range(50)]
    await commit(*map(requested, specs))
    await asyncio.gather(*(Relay(world.bus, pool).publish_left_behind(0) for _ in range(3)))
    for spec in specs:
        await world.told(spec.job_id, JobQueued)
    assert await unpublished(pool) == 0
    assert len(world.heard) == 50

"""What is written is what is read, in every state a job can be in."""

from datetime import timedelta
from uuid import uuid4

import pytest
from services.orchestrator.tests.builders import RULES, T0, a_spec, requested, started
from services.orchestrator.tests.unit.lifecycle_table import JOB, PATIENT, STATES

from contracts.ids import JobId
from contracts.states import JobStatus
from orchestrator import store
from orchestrator.decision import Input
from orchestrator.fold import Fold
from orchestrator.job import Job
from service_kit.database import Pool

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def history_of(state: str) -> list[tuple[Input, object]]:
    return [(requested(a_spec(JOB, **PATIENT)), T0), *(STATES[state] or ())]


async def load(pool: Pool) -> dict[JobId, Job]:
    async with pool.acquire() as connection:
        return await store.load_jobs(connection, [JOB])


async def write(pool: Pool, messages: list[tuple[Input, object]]) -> Job:
    """Loads the job, says all this to it in one batch, writes it; returns it as it should now be."""
    fold = Fold(await load(pool), messages[0][1], RULES)  # type: ignore[arg-type]  # times, as the table has them
    for message, at in messages:
        fold.now = at  # type: ignore[assignment]  # as above
        fold.apply(message, TRACE)
    async with pool.acquire() as connection, connection.transaction():
        await store.write(connection, fold)
    return fold.jobs[JOB]


@pytest.mark.parametrize("state", [state for state in STATES if state != "none"])
async def test_a_job_is_read_as_it_was_written_in_one_batch(pool: Pool, state: str) -> None:
    written = await write(pool, history_of(state))
    assert await load(pool) == {JOB: written}
    assert written.traceparent == TRACE


@pytest.mark.parametrize("state", [state for state in STATES if state != "none"])
async def test_a_life_written_step_by_step_is_the_same_life(pool: Pool, state: str) -> None:
    written = [await write(pool, [step]) for step in history_of(state)][-1]
    assert await load(pool) == {JOB: written}
    seqs = await pool.fetch("SELECT seq, traceparent FROM orchestrator.job_events ORDER BY seq")
    assert [tuple(row) for row in seqs] == [(seq, TRACE) for seq in range(1, written.seq + 1)]


async def test_every_attempt_of_a_life_is_kept_with_its_outcome(pool: Pool) -> None:
    for step in history_of("succeeded"):
        await write(pool, [step])
    rows = await pool.fetch("SELECT number, status, failure_code FROM orchestrator.attempts ORDER BY number")
    assert [tuple(row) for row in rows] == [(1, "FAILED", "engine_crashed"), (2, "SUCCEEDED", None)]


async def test_the_log_alone_rebuilds_the_job(pool: Pool) -> None:
    written = await write(pool, history_of("failed"))
    payloads = await pool.fetch("SELECT type, payload FROM orchestrator.job_events ORDER BY seq")
    first, last = payloads[0], payloads[-1]
    assert (first["type"], first["payload"]["job"]["input_params"]) == ("job.queued", written.spec.input_params)
    assert (last["type"], last["payload"]["state"]["status"]) == ("job.failed", JobStatus.FAILED)
    assert last["payload"]["state"]["error"]["code"] == "invalid_image"


async def test_a_batch_of_many_jobs_is_written_at_once(pool: Pool) -> None:
    specs = [a_spec() for _ in range(1000)]
    fold = Fold({}, T0, RULES)
    for spec in specs:
        fold.apply(requested(spec))
    async with pool.acquire() as connection, connection.transaction():
        await store.write(connection, fold)
        assert await store.load_jobs(connection, [spec.job_id for spec in specs]) == fold.jobs


async def test_an_event_is_confirmed_once_and_told_again_on_request(pool: Pool) -> None:
    await write(pool, history_of("dispatched"))
    async with pool.acquire() as connection, connection.transaction():
        events = [(event.job_id, event.seq) for event, _ in await store.unpublished(connection, 0, 100)]
        assert events == [(JOB, 1), (JOB, 2), (JOB, 3)]
        assert len(await store.unpublished(connection, 0, 2)) == 2
        await store.mark_published(connection, [store.Confirmed(*event, generation=0) for event in events[:2]])
        assert [event.seq for event, _ in await store.unpublished(connection, 0, 100)] == [3]
        assert [event.seq for event, _ in await store.log_of(connection, [JOB])] == [1, 2, 3]


async def test_one_relay_at_a_time_looks_for_what_was_left_behind(pool: Pool) -> None:
    async with pool.acquire() as one, one.transaction(), pool.acquire() as other, other.transaction():
        assert await store.take_turn_as_sweeper(one)
        assert not await store.take_turn_as_sweeper(other)


async def test_a_task_that_later_ones_overtook_is_told_from_one_that_waits_its_turn(pool: Pool) -> None:
    """The bus lost the first: it must be found although its queue is never empty."""
    lost, taken, waiting = a_spec(), a_spec(), a_spec()
    minute = timedelta(minutes=1)
    for spec, at in ((lost, T0), (taken, T0 + minute), (waiting, T0 + minute)):
        fold = Fold({}, at, RULES)
        fold.apply(requested(spec))
        fold.dispatch(spec.job_id, uuid4())
        if spec is taken:
            current = fold.jobs[spec.job_id].current
            assert current is not None
            fold.apply(started(spec.job_id, current.attempt_id))
        async with pool.acquire() as connection:
            await store.write(connection, fold)
    async with pool.acquire() as connection:
        overtaken, others = await store.long_dispatched(connection, lost.model_id, timedelta(seconds=10))
    assert [job.job_id for job in overtaken] == [lost.job_id]
    assert [job.job_id for job in others] == [waiting.job_id]

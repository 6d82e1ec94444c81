"""The group commit on a real database, alone and against another replica."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from random import Random

import asyncpg
import pytest
from prometheus_client import REGISTRY
from services.orchestrator.tests.builders import (
    MODEL,
    OTHER_WORKER,
    OWNER,
    STRANGER,
    a_spec,
    cancel,
    failed,
    requested,
    started,
    succeeded,
)
from services.orchestrator.tests.integration.conftest import MakeReplica, Replica

from contracts.failures import FailureCode
from contracts.ids import ModelId, UserId
from contracts.jobs import JobSpec
from contracts.states import JobStatus
from orchestrator.commit_batch import FillWindow, Said
from orchestrator.decision import Input, Verdict
from service_kit.batcher import Batcher
from service_kit.ids import new_uuid

SOMEBODY_WAITS = """SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON oid = database
                                  WHERE datname = current_database() AND NOT granted)"""
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def specs(count: int, user_id: UserId = OWNER, priority: int = 0) -> list[JobSpec]:
    return [a_spec(user_id=user_id, priority=priority) for _ in range(count)]


async def accept(replica: Replica, *jobs: JobSpec) -> None:
    """One after the other, so that the first is the oldest."""
    for spec in jobs:
        await replica.commit(requested(spec))


async def attempt_of(replica: Replica, spec: JobSpec) -> Sequence[Input]:
    """The start and the success of the job's current attempt."""
    current = (await replica.job(spec.job_id)).current
    assert current is not None
    return started(spec.job_id, current.attempt_id), succeeded(spec.job_id, current.attempt_id)


# --- one replica ---


async def test_a_job_is_dispatched_in_the_commit_that_accepts_it(replica: Replica) -> None:
    (spec,) = specs(1)
    assert await replica.commit(Said(requested(spec), TRACE)) == [Verdict.APPLIED]
    job = await replica.job(spec.job_id)
    assert job.current is not None
    assert job.traceparent == TRACE


async def test_a_batch_has_a_verdict_for_each_message_in_order(replica: Replica) -> None:
    spec, unknown = a_spec(), a_spec()
    verdicts = await replica.commit(
        requested(spec), requested(spec), cancel(spec.job_id, STRANGER), cancel(unknown.job_id), cancel(spec.job_id)
    )
    assert verdicts == [
        Verdict.APPLIED,
        Verdict.DUPLICATE,
        Verdict.FOREIGN,
        Verdict.UNKNOWN_JOB,
        Verdict.APPLIED,
    ]
    assert (await replica.job(spec.job_id)).status is JobStatus.CANCELLED


async def test_no_more_attempts_are_on_the_bus_than_there_are_slots(make_replica: MakeReplica) -> None:
    replica = make_replica(slots=3)
    jobs = specs(10)
    await replica.commit(*map(requested, jobs))
    assert len(await replica.dispatched()) == 3


async def test_a_started_attempt_makes_room_for_the_next_one(replica: Replica) -> None:
    first, second = specs(2)
    await accept(replica, first, second)
    (start, _) = await attempt_of(replica, first)
    await replica.commit(start)
    assert [job.job_id for job in await replica.dispatched()] == [second.job_id]


async def test_a_cancelled_job_gives_its_place_in_the_window_away(replica: Replica) -> None:
    first, second = specs(2)
    await accept(replica, first, second)
    await replica.commit(cancel(first.job_id))
    assert [job.job_id for job in await replica.dispatched()] == [second.job_id]


async def test_jobs_of_a_model_that_nobody_serves_wait(replica: Replica) -> None:
    unserved = a_spec(model_id=ModelId("nobody-serves-this"))
    await replica.commit(requested(unserved))
    assert (await replica.job(unserved.job_id)).current is None


async def test_a_worker_that_comes_gets_what_has_waited_for_it(make_replica: MakeReplica) -> None:
    replica = make_replica(slots=0)
    jobs = specs(5)
    await accept(replica, *jobs)
    assert await replica.dispatched() == []
    assert replica.availability.update({MODEL: 2}) == {MODEL}
    await replica.commit(FillWindow(MODEL))
    assert {job.job_id for job in await replica.dispatched()} == {job.job_id for job in jobs[:2]}


async def test_a_waiting_job_that_the_batch_names_takes_one_place_in_the_window_and_not_two(
    make_replica: MakeReplica,
) -> None:
    replica = make_replica(slots=0)
    first, second = specs(2)
    await accept(replica, first, second)
    replica.availability.update({MODEL: 2})
    await replica.commit(cancel(first.job_id, STRANGER), FillWindow(MODEL))
    assert {job.job_id for job in await replica.dispatched()} == {first.job_id, second.job_id}


async def test_a_thousand_jobs_of_one_user_do_not_starve_the_one_of_another(make_replica: MakeReplica) -> None:
    replica = make_replica(slots=2)
    await replica.commit(*map(requested, specs(1000)))
    (lone,) = specs(1, STRANGER)
    await replica.commit(requested(lone))
    on_the_bus = await replica.dispatched()
    (start, _) = await attempt_of(replica, on_the_bus[0].spec)
    await replica.commit(start)  # one slot frees, 998 older jobs wait for it
    assert lone.job_id in {job.job_id for job in await replica.dispatched()}


async def test_urgent_jobs_go_first(make_replica: MakeReplica) -> None:
    replica = make_replica(slots=0)
    usual, urgent = specs(3), specs(2, priority=5)
    await replica.commit(*map(requested, [*usual, *urgent]))
    replica.availability.update({MODEL: 2})
    await replica.commit(FillWindow(MODEL))
    assert {job.job_id for job in await replica.dispatched()} == {spec.job_id for spec in urgent}


async def test_an_attempt_that_ends_in_a_batch_no_longer_counts_against_its_user(make_replica: MakeReplica) -> None:
    replica = make_replica(slots=2, window_per_slot=0.5)  # two run, one is on the bus
    (mine,), (theirs,), (blocker,) = specs(1), specs(1, STRANGER), specs(1)
    await replica.commit(requested(mine))
    await replica.commit((await attempt_of(replica, mine))[0])
    await replica.commit(requested(theirs))
    await replica.commit((await attempt_of(replica, theirs))[0])
    await replica.commit(requested(blocker))  # fills the window
    (older,), (younger,) = specs(1, STRANGER), specs(1)
    await accept(replica, older, younger)
    _, done = await attempt_of(replica, mine)
    # Afterwards nothing of mine is on the bus or running, but one of theirs: mine is next, though it is younger.
    await replica.commit(done, cancel(blocker.job_id), FillWindow(MODEL))
    assert [job.job_id for job in await replica.dispatched()] == [younger.job_id]


async def test_a_retry_waits_for_its_back_off_and_is_then_dispatched(replica: Replica) -> None:
    spec = a_spec(retry_backoff_seconds=0.05)
    await replica.commit(requested(spec))
    start, _ = await attempt_of(replica, spec)
    lost = (await replica.job(spec.job_id)).current
    assert lost is not None
    await replica.commit(start, failed(spec.job_id, lost.attempt_id))
    async with asyncio.timeout(10):
        while not (again := await replica.dispatched()):
            await replica.commit(FillWindow(MODEL))
    (job,) = again
    assert job.current is not None
    assert (job.current.number, job.current.attempt_id != lost.attempt_id) == (2, True)


async def test_a_job_the_database_cannot_hold_fails_alone(replica: Replica) -> None:
    """The gateway refuses such text; a message that has it all the same must not take its neighbours with it."""
    commits = Batcher(replica.commit_batch, max_batch=100)
    good = specs(3)
    unstorable = a_spec().model_copy(update={"prompt": "a\x00b"})
    said = [Said(requested(spec)) for spec in (good[0], unstorable, *good[1:])]
    verdicts = await asyncio.gather(*map(commits.submit, said), return_exceptions=True)
    assert [verdicts[0], *verdicts[2:]] == [Verdict.APPLIED] * 3
    assert isinstance(verdicts[1], asyncpg.UntranslatableCharacterError)


async def test_a_commit_that_fails_has_changed_nothing(make_replica: MakeReplica, replica: Replica) -> None:
    (spec,) = specs(1)
    await replica.commit(requested(spec))
    broken = make_replica()
    before = await replica.job(spec.job_id)
    await replica.pool.execute("ALTER TABLE orchestrator.job_events RENAME TO gone")
    with pytest.raises(asyncpg.UndefinedTableError):
        await broken.commit(cancel(spec.job_id))
    assert await replica.job(spec.job_id) == before


async def test_a_commit_cancelled_while_it_waits_for_its_turn_leaves_nothing_behind(replica: Replica) -> None:
    (spec,) = specs(1)
    async with replica.pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtext('orchestrator.commit'))")
        waiting = asyncio.create_task(replica.commit(requested(spec)))
        async with asyncio.timeout(10):
            while not await other.fetchval(SOMEBODY_WAITS):  # noqa: ASYNC110  # the lock is the server's
                await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await replica.pool.fetchval("SELECT count(*) FROM orchestrator.jobs") == 0
    assert await replica.commit(requested(spec)) == [Verdict.APPLIED]


# --- two replicas on one database ---


async def test_a_request_heard_by_two_replicas_is_one_job(make_replica: MakeReplica) -> None:
    replicas = make_replica(slots=4), make_replica(slots=4)
    jobs = specs(40)
    random = Random(7)
    work = []
    for replica in replicas:
        shuffled = random.sample(jobs, len(jobs))
        work += [replica.commit(*map(requested, shuffled[start : start + 8])) for start in range(0, 40, 8)]
    verdicts = Counter(verdict for batch in await asyncio.gather(*work) for verdict in batch)
    assert verdicts == {Verdict.APPLIED: 40, Verdict.DUPLICATE: 40}
    assert len(await replicas[0].dispatched()) == 4


async def test_two_replicas_that_work_off_a_backlog_together_run_each_job_once(make_replica: MakeReplica) -> None:
    replicas = make_replica(slots=4), make_replica(slots=4)
    one, pool = replicas[0], replicas[0].pool
    jobs = specs(40)
    await asyncio.gather(*(replica.commit(*map(requested, jobs)) for replica in replicas))
    turn = cycle(replicas)
    while on_the_bus := await one.dispatched():
        # As the clock does: what the other replica left waiting is not remembered.
        await next(turn).commit(FillWindow(MODEL))
        assert len(on_the_bus) <= 4
        reports = [message for job in on_the_bus for message in await attempt_of(one, job.spec)]
        # Each report reaches some replica, some reach both, all at once.
        await asyncio.gather(*(next(turn).commit(report) for report in [*reports, *reports[::3]]))
    assert await pool.fetch("SELECT status, count(*) FROM orchestrator.jobs GROUP BY 1") == [("SUCCEEDED", 40)]
    assert await pool.fetchval("SELECT count(*) FROM orchestrator.attempts") == 40
    assert await pool.fetchval("SELECT max(number) FROM orchestrator.attempts") == 1


async def test_two_workers_that_got_the_same_task_do_not_both_run_it(make_replica: MakeReplica) -> None:
    replicas = make_replica(), make_replica()
    (spec,) = specs(1)
    await replicas[0].commit(requested(spec))
    current = (await replicas[0].job(spec.job_id)).current
    assert current is not None
    verdicts = await asyncio.gather(
        replicas[0].commit(started(spec.job_id, current.attempt_id)),
        replicas[1].commit(started(spec.job_id, current.attempt_id, OTHER_WORKER)),
    )
    assert sorted(verdict for batch in verdicts for verdict in batch) == [Verdict.APPLIED, Verdict.FENCED]


async def test_reports_of_an_attempt_that_never_was_are_fenced(replica: Replica) -> None:
    (spec,) = specs(1)
    await replica.commit(requested(spec))
    invented = failed(spec.job_id, new_uuid(), FailureCode.INVALID_IMAGE)  # type: ignore[arg-type]  # an id is an id
    assert await replica.commit(invented) == [Verdict.FENCED]
    assert (await replica.job(spec.job_id)).status is JobStatus.QUEUED


async def test_what_could_not_be_committed_counts_for_nothing_and_what_is_told_again_for_nothing_more(
    replica: Replica,
) -> None:
    def counted(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"model": MODEL} | labels) or 0.0

    def ended() -> tuple[float, float]:
        return (
            counted("p3d_jobs_ended_total", state="SUCCEEDED", code="none"),
            counted("p3d_attempts_ended_total", outcome="SUCCEEDED", code="none"),
        )

    (spec,) = specs(1)
    await replica.commit(requested(spec))
    start, success = await attempt_of(replica, spec)
    await replica.commit(start)
    before = ended()
    await replica.pool.execute("ALTER TABLE orchestrator.jobs ADD CONSTRAINT never CHECK (status <> 'SUCCEEDED')")
    with pytest.raises(asyncpg.CheckViolationError):
        await replica.commit(success)
    assert ended() == before
    await replica.pool.execute("ALTER TABLE orchestrator.jobs DROP CONSTRAINT never")
    await replica.commit(success)
    # A gateway that heard nothing asks again, and all of the job's events are told again.
    assert await replica.commit(requested(spec), success) == [Verdict.DUPLICATE, Verdict.TERMINAL]
    assert ended() == (before[0] + 1, before[1] + 1)

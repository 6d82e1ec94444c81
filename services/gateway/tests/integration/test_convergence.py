"""Whatever the order, the number of copies and the replica: the views end as the facts have it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts import jobs
from contracts.failures import FailureCode
from contracts.jobs import JobEvent
from contracts.states import JobStatus
from gateway.progress import ProgressBoard
from gateway.project_events import ProjectEvents
from gateway.settings import GatewaySettings
from gateway.store.database import Database
from gateway.store.job_view_writes import JobViewWriter

Replica = Callable[..., Awaitable[ProjectEvents]]


@pytest.fixture
async def replica(settings: GatewaySettings) -> AsyncIterator[Replica]:
    """A projection with connections of its own, as another gateway has it."""
    async with AsyncExitStack() as opened:

        async def open_one(*, forgotten_after: timedelta | None = None) -> ProjectEvents:
            database = Database(settings)
            await database.open()
            opened.push_async_callback(database.close)
            project_events = ProjectEvents(JobViewWriter(database), ProgressBoard(), forgotten_after=forgotten_after)
            opened.push_async_callback(project_events.close)
            return project_events

        yield open_one


def _life(facts: Any) -> list[JobEvent]:
    worker = {"attempt_id": uuid4(), "worker_id": "gpu-7"}
    lost = jobs.JobError(code=FailureCode.WORKER_LOST, message="Lost.", retryable=True)
    now = datetime.now(UTC)
    return [
        facts.queued(),
        facts.fact(jobs.JobStarted, 2, JobStatus.RUNNING, state={"attempt": 1}, **worker),
        facts.fact(
            jobs.JobRetryScheduled, 3, JobStatus.QUEUED, state={"attempt": 1}, failure=lost, retry_at=now, **worker
        ),
        facts.fact(jobs.JobCancelled, 4, JobStatus.CANCELLED, state={"attempt": 1, "completed_at": now}),
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_two_replicas_that_hear_everything_at_once_and_in_disorder_agree(
    replica: Replica, some_job: Any, facts_of: Any, database: Any, seed: int
) -> None:
    dice, user_id = random.Random(seed), uuid4()
    lives = [_life(facts_of(some_job(user_id))) for _ in range(40)]

    async def hear_all(project_events: ProjectEvents) -> None:
        events = [event for life in lives for event in life * 2]
        dice.shuffle(events)
        chunks = [events[start : start + 7] for start in range(0, len(events), 7)]
        await asyncio.gather(*(project_events(chunk) for chunk in chunks))

    # A deadlock, or two that insert the same row, would raise.
    await asyncio.gather(*[hear_all(await replica()) for _ in range(2)])
    rows = await database.fetch(
        "SELECT status, seq, input_params IS NOT NULL AS known, (SELECT array_agg(seq ORDER BY seq)"
        " FROM gateway.job_view_events WHERE job_id = id) AS log FROM gateway.job_views WHERE user_id = $1",
        user_id,
    )
    assert [tuple(row) for row in rows] == [("CANCELLED", 4, True, [1, 2, 3, 4])] * len(lives)


async def test_late_event_does_not_bring_back_a_job_that_retention_has_removed(
    replica: Replica, some_job: Any, facts_of: Any, database: Any
) -> None:
    facts, recent = facts_of(some_job(uuid4())), facts_of(some_job(uuid4()))
    long_ago = datetime.now(UTC) - timedelta(days=91)
    removed = [event.model_copy(update={"occurred_at": long_ago}) for event in _life(facts)]
    for events in (removed[:1], removed[1:2], removed):
        await (await replica(forgotten_after=timedelta(days=90)))([*events, recent.queued()])
    for job, known in ((facts.job, 0), (recent.job, 1)):
        assert await database.fetchval("SELECT count(*) FROM gateway.job_views WHERE id = $1", job.job_id) == known
    assert not await database.fetchval(
        "SELECT count(*) FROM gateway.job_view_events WHERE job_id = $1", facts.job.job_id
    )


async def test_log_tells_which_attempt_was_lost_where_and_why_and_how_often_it_will_be_tried(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any
) -> None:
    job_id = await admin.create()
    _queued, started, lost, _cancelled = _life(facts_of(await orchestrator.request_for(job_id)))
    await orchestrator.say(_queued, started, lost)

    async def log() -> Any:
        events = (await admin.get(f"/jobs/{job_id}/events")).body["events"]
        return events if len(events) == 3 else None

    events = await until(log)
    assert [event["payload"]["attempt"] for event in events] == [0, 1, 1]
    assert events[1]["payload"]["worker_id"] == "gpu-7"
    payload = events[2]["payload"]
    assert payload["failure"] == {"code": "worker_lost", "message": "Lost.", "retryable": True}
    assert (payload["worker_id"], payload["attempt_id"]) == ("gpu-7", events[1]["payload"]["attempt_id"])
    assert payload["retry_at"]
    assert (await admin.get(f"/jobs/{job_id}")).body["max_attempts"] == 3

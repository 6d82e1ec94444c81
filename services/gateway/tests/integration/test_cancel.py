"""A 202 is a promise: the cancellation is recorded, shown at once, and said until it shows an effect."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts import jobs
from contracts.states import JobStatus


async def test_owner_sees_the_cancellation_at_once_on_every_replica(
    admin: Any, gateway_with: Any, client_of: Any
) -> None:
    job_id = await admin.create()
    assert (await admin.post(f"/jobs/{job_id}/cancel")).status == 202
    async with gateway_with() as url:
        for client in (admin, client_of(url)):
            assert (await client.get(f"/jobs/{job_id}")).body["cancel_requested"] is True
            listed = (await client.get("/jobs")).body["jobs"]
            assert {job["id"]: job["cancel_requested"] for job in listed}[job_id] is True


async def test_cancellation_is_said_again_until_an_event_shows_it(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any, database: Any
) -> None:
    job_id = await admin.create()
    facts = facts_of(await orchestrator.request_for(job_id))
    running = facts.fact(jobs.JobStarted, 2, JobStatus.RUNNING, state={"attempt": 1}, attempt_id=uuid4(), worker_id="w")
    await orchestrator.say(facts.queued(), running)
    assert (await admin.post(f"/jobs/{job_id}/cancel")).status == 202
    # The job is acknowledged and goes on as if nobody had asked: whatever came of it, the cancellation was lost.
    await orchestrator.say(facts.fact(jobs.JobStageChanged, 3, JobStatus.RUNNING, attempt_id=uuid4()))

    async def said_again() -> bool:
        return orchestrator.cancelled.count(UUID(job_id)) >= 2

    await until(said_again, within_seconds=15)
    cancelling = facts.fact(
        jobs.JobCancelling, 4, JobStatus.RUNNING, state={"cancel_requested": True}, attempt_id=uuid4()
    )
    await orchestrator.say(cancelling)

    left = "SELECT seq = 4 AND republish_at IS NULL FROM gateway.job_views WHERE id = $1"

    async def nothing_left_to_say() -> Any:
        return await database.fetchval(left, UUID(job_id))

    await until(nothing_left_to_say)


async def test_request_is_said_again_with_its_cancellation(admin: Any, orchestrator: Any, until: Any) -> None:
    """An orchestrator that has heard of neither, since the broker lost both, can then cancel the job."""
    job_id = UUID(await admin.create())
    assert (await admin.post(f"/jobs/{job_id}/cancel")).status == 202
    orchestrator.requested[:] = [job for job in orchestrator.requested if job.job_id != job_id]
    orchestrator.cancelled[:] = [cancelled for cancelled in orchestrator.cancelled if cancelled != job_id]
    await orchestrator.request_for(str(job_id))

    async def cancelled() -> bool:
        return job_id in orchestrator.cancelled

    await until(cancelled)


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED])
async def test_job_that_was_faster_than_its_cancellation_is_what_it_became(
    *, admin: Any, orchestrator: Any, facts_of: Any, until: Any, database: Any, status: JobStatus
) -> None:
    job_id = await admin.create()
    facts = facts_of(await orchestrator.request_for(job_id))
    assert (await admin.post(f"/jobs/{job_id}/cancel")).status == 202
    more = {"attempt_id": uuid4(), "outputs": (), "stage_durations_ms": {}, "facts": {}}
    over = jobs.JobSucceeded if status is JobStatus.SUCCEEDED else jobs.JobFailed
    await orchestrator.say(facts.queued(), facts.fact(over, 2, status, **(more if over is jobs.JobSucceeded else {})))

    async def body() -> Any:
        answer = (await admin.get(f"/jobs/{job_id}")).body
        return answer if answer["status"] == status else None

    assert (await until(body))["cancel_requested"] is False
    row = await database.fetchrow("SELECT republish_at FROM gateway.job_views WHERE id = $1", job_id)
    assert row["republish_at"] is None


async def test_cancellation_that_cannot_be_recorded_is_not_accepted(
    admin: Any, database: Any, orchestrator: Any, until: Any
) -> None:
    job_id = UUID(await admin.create())
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM gateway.job_views WHERE id = $1 FOR UPDATE", job_id)
        asking = asyncio.create_task(admin.post(f"/jobs/{job_id}/cancel"))

        async def waits_for_the_row() -> Any:
            return await database.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '%cancel_asked_at = coalesce%' AND wait_event_type = 'Lock'"
            )

        pid = await until(waits_for_the_row)
        await database.execute("SELECT pg_terminate_backend($1)", pid)
        answer = await asking
    assert (answer.status, answer.body["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
    assert (await admin.get(f"/jobs/{job_id}")).body["cancel_requested"] is False
    assert (await admin.post(f"/jobs/{job_id}/cancel")).status == 202

"""The orchestrator as a process: killed at the worst moment, stopped politely, started wrongly."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
from services.orchestrator.tests.builders import a_spec, started, succeeded
from services.orchestrator.tests.integration.orchestrator_process import OrchestratorProcess
from services.orchestrator.tests.integration.world import World

from contracts.attempts import RunAttempt
from contracts.jobs import JobEvent, JobQueued, JobStarted, JobSucceeded
from service_kit.database import Pool

AFTER_COMMIT = {"CRASH_POINT": "orchestrator.after_commit_before_publish"}


async def test_a_crash_between_commit_and_publish_loses_nothing(
    world: World, pool: Pool, orchestrator_database_url: str, broker_url: str, tmp_path: Path
) -> None:
    spec = a_spec()
    log = tmp_path / "orchestrator.log"
    async with OrchestratorProcess(orchestrator_database_url, broker_url, log, **AFTER_COMMIT) as dying:
        await world.request(spec)
        assert await dying.exit_status() == -signal.SIGKILL
    # It died with the job committed, nothing said and the request not acknowledged.
    assert await pool.fetchval("SELECT status FROM orchestrator.jobs WHERE job_id = $1", spec.job_id) == "QUEUED"
    assert world.heard == []

    async with OrchestratorProcess(orchestrator_database_url, broker_url, log) as orchestrator:
        await orchestrator.ready()
        await world.told(spec.job_id, JobQueued)
        await world.heartbeat()
        task = await world.next_task()
        await world.say(started(spec.job_id, task.attempt_id))
        await world.told(spec.job_id, JobStarted)
        await world.say(succeeded(spec.job_id, task.attempt_id))
        events = await world.events_of(spec.job_id, 3)
        assert [type(event) for event in events] == [JobQueued, JobStarted, JobSucceeded]
        assert await orchestrator.stop() == 0
    assert await pool.fetchval("SELECT count(*) FROM orchestrator.jobs") == 1


async def test_a_crash_at_every_commit_of_a_life_still_tells_all_of_it_in_order(
    world: World, pool: Pool, orchestrator_database_url: str, broker_url: str, tmp_path: Path
) -> None:
    """Dies after each commit that a message causes; what is told in the end is one whole life."""
    log = tmp_path / "orchestrator.log"
    spec = a_spec()

    async def die_at_the_commit_that_makes_it(status: str) -> None:
        # Without workers the dispatcher commits nothing: it is the message's own commit that kills.
        await pool.execute("DELETE FROM orchestrator.workers")
        async with OrchestratorProcess(orchestrator_database_url, broker_url, log, **AFTER_COMMIT) as dying:
            assert await dying.exit_status() == -signal.SIGKILL
        assert await pool.fetchval("SELECT status FROM orchestrator.jobs WHERE job_id = $1", spec.job_id) == status

    async def recover(event_type: type[JobEvent]) -> None:
        async with OrchestratorProcess(orchestrator_database_url, broker_url, log) as orchestrator:
            await orchestrator.ready()
            await world.told(spec.job_id, event_type)
            if event_type is JobQueued:
                await world.heartbeat()
                tasks.append(await world.next_task())
            assert await orchestrator.stop() == 0

    tasks: list[RunAttempt] = []
    await world.request(spec)
    await die_at_the_commit_that_makes_it("QUEUED")
    await recover(JobQueued)
    await world.say(started(spec.job_id, tasks[0].attempt_id))
    await die_at_the_commit_that_makes_it("RUNNING")
    await recover(JobStarted)
    await world.say(succeeded(spec.job_id, tasks[0].attempt_id))
    await die_at_the_commit_that_makes_it("SUCCEEDED")
    await recover(JobSucceeded)
    events = await world.events_of(spec.job_id, 3)
    assert [(type(event), event.seq) for event in events] == [(JobQueued, 1), (JobStarted, 2), (JobSucceeded, 3)]


async def test_a_polite_stop_says_everything_that_was_committed(
    world: World, pool: Pool, orchestrator_database_url: str, broker_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "orchestrator.log"
    specs = [a_spec() for _ in range(100)]
    async with OrchestratorProcess(orchestrator_database_url, broker_url, log) as orchestrator:
        await orchestrator.ready()
        await world.request(*specs)
        assert await orchestrator.stop() == 0
    accepted = {row["job_id"] for row in await pool.fetch("SELECT job_id FROM orchestrator.jobs")}
    for job_id in accepted:
        await world.told(job_id, JobQueued)
    assert await pool.fetchval("SELECT count(*) FROM orchestrator.job_events WHERE published_at IS NULL") == 0
    # What it had not committed is still in the queue, for the next one.
    async with OrchestratorProcess(orchestrator_database_url, broker_url, log):
        for spec in specs:
            await world.told(spec.job_id, JobQueued)


async def test_the_metrics_show_what_became_of_messages(
    world: World, orchestrator_database_url: str, broker_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "orchestrator.log"
    async with OrchestratorProcess(orchestrator_database_url, broker_url, log) as orchestrator:
        await orchestrator.ready()
        spec = a_spec()
        await world.request(spec)
        await world.told(spec.job_id, JobQueued)
        await world.request(spec)
        duplicate = 'p3d_lifecycle_verdicts_total{message="JobRequested",verdict="duplicate"} 1.0'
        async with asyncio.timeout(20), aiohttp.ClientSession() as http:
            page = ""
            while duplicate not in page:
                async with http.get(f"{orchestrator.url}/metrics") as answer:
                    page = await answer.text()
    assert 'p3d_lifecycle_verdicts_total{message="JobRequested",verdict="applied"} 1.0' in page


async def test_a_setting_that_makes_no_sense_is_named_before_anything_starts() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestrator",
        env=os.environ | {"DATABASE_URL": "postgresql://x/y", "RABBITMQ_URL": "amqp://x/", "MAX_BATCH": "0"},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"environment variable MAX_BATCH" in said

"""The broker confirms an outcome, and loses it before the orchestrator has read it."""

import aio_pika
import pytest
from worker_harness import AttemptStarted, AttemptSucceeded, Orchestrator, task, until

from contracts import topology
from contracts.attempts import AttemptSucceeded as Success
from contracts.failures import FailureCode

LONG = 1.0
LEASE = 0.5


async def lose_reports(broker_url, *, until_kind):
    """Takes what waits in the reports' queue out of it, until a report of this kind was among it."""
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(topology.ORCHESTRATOR_REPORTS.name)
        async with queue.iterator(timeout=15) as messages:
            async for message in messages:
                await message.ack()
                if message.type == until_kind.event_type():
                    return


@pytest.fixture
async def loses_its_success(orchestrator, start_worker, broker_url):
    """A worker that has said the success of a long attempt, which nobody has heard; and an orchestrator that is back."""
    worker = await start_worker(lease_ttl_seconds=LEASE)
    attempt = task(duration_seconds=LONG)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    await orchestrator.bus.stop_consuming()
    await lose_reports(broker_url, until_kind=Success)
    restarted = Orchestrator(broker_url)
    await restarted.start()
    yield worker, attempt, restarted
    await restarted.bus.stop()


async def test_a_dear_success_that_was_lost_keeps_its_lease_and_is_said_again(loses_its_success):
    _, attempt, orchestrator = loses_its_success
    await until(lambda: any(attempt.attempt_id in heartbeat.attempts for heartbeat in orchestrator.heartbeats))
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)


async def test_it_is_said_until_the_orchestrator_answers_that_the_attempt_is_over(loses_its_success):
    worker, attempt, orchestrator = loses_its_success
    await until(lambda: len(orchestrator.said(AttemptSucceeded, attempt)) == 2)
    await orchestrator.abort(attempt, worker.worker_id, FailureCode.WORKER_LOST)
    await until(lambda: attempt.attempt_id not in orchestrator.heartbeats[-1].attempts)
    said, heard = len(orchestrator.said(AttemptSucceeded, attempt)), len(orchestrator.heartbeats)
    await until(lambda: len(orchestrator.heartbeats) > heard + 10)  # it would have been said again twice
    assert len(orchestrator.said(AttemptSucceeded, attempt)) == said


async def test_a_success_that_was_cheap_is_named_no_more(orchestrator, start_worker):
    await start_worker(lease_ttl_seconds=10)
    attempt = task()
    await orchestrator.send(attempt)
    await orchestrator.outcome(attempt)
    heard = len(orchestrator.heartbeats)
    await until(lambda: len(orchestrator.heartbeats) > heard + 3)
    assert all(heartbeat.attempts == () for heartbeat in orchestrator.heartbeats[heard + 1 :])

"""Which deliveries a worker takes, which it gives back, and what it does with those it cannot read."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from worker_harness import SIMULATED, AttemptFailed, AttemptStarted, AttemptSucceeded, task, until

from contracts import topology
from contracts.attempts import RunAttempt
from contracts.cloudevents import codec, wrap
from contracts.topology import DeadLetterQueue

TASKS = topology.worker_tasks(SIMULATED)


async def test_attempts_beyond_the_slots_are_run_as_slots_become_free(orchestrator, worker):
    attempts = [task() for _ in range(30)]
    await orchestrator.send(*attempts)
    for attempt in attempts:
        assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)
    assert all(orchestrator.story(attempt).count("AttemptSucceeded") == 1 for attempt in attempts)


async def test_attempts_that_come_in_one_message_are_all_run(orchestrator, worker):
    attempts = [task() for _ in range(5)]
    await orchestrator.send_together(*attempts)
    for attempt in attempts:
        assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)


async def test_what_a_busy_worker_cannot_run_another_one_gets(orchestrator, start_worker):
    busy = await start_worker(worker_models="simulated-v1:1")
    long_one, next_one = task(duration_seconds=60), task()
    await orchestrator.send(long_one)
    await orchestrator.hears(AttemptStarted, long_one)
    await orchestrator.send(next_one)  # delivered to the busy worker, since there is no other
    other = await start_worker(worker_models="simulated-v1:1")
    outcome = await orchestrator.outcome(next_one)
    assert outcome.worker_id == other.worker_id
    await orchestrator.abort(long_one, busy.worker_id)
    await orchestrator.outcome(long_one)


async def test_no_delivery_is_held_while_an_attempt_runs(orchestrator, start_worker):
    await start_worker(worker_models="simulated-v1:1")
    await orchestrator.send(task(duration_seconds=60))
    waiting = [task(), task()]
    await until(lambda: orchestrator.said(AttemptStarted))
    await orchestrator.send(*waiting)
    await orchestrator.waiting_tasks(2)


async def test_consuming_goes_on_when_a_slot_is_free_again(orchestrator, start_worker):
    worker = await start_worker(worker_models="simulated-v1:1", claim_patience_seconds=0.1)
    long_one, waiting = task(duration_seconds=60), [task() for _ in range(5)]
    await orchestrator.send(long_one)
    await orchestrator.hears(AttemptStarted, long_one)
    await orchestrator.send(*waiting)
    await orchestrator.waiting_tasks(len(waiting))
    await orchestrator.abort(long_one, worker.worker_id)
    for attempt in waiting:
        assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)


async def test_a_second_copy_of_a_running_attempt_is_not_run(orchestrator, worker):
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    await orchestrator.send(attempt)
    await until(lambda: len(orchestrator.said(AttemptStarted, attempt)) == 2)
    await orchestrator.abort(attempt, worker.worker_id)
    next_one = task()
    await orchestrator.outcome(attempt)
    await orchestrator.send(next_one)
    await orchestrator.outcome(next_one)
    assert len(orchestrator.said(AttemptFailed, attempt)) == 1


async def test_a_second_copy_of_a_finished_attempt_is_answered_with_its_outcome(orchestrator, worker):
    attempt = task(outcome="fail_fatal")
    await orchestrator.send(attempt)
    await orchestrator.outcome(attempt)
    await orchestrator.send(attempt)
    await until(lambda: len(orchestrator.said(AttemptFailed, attempt)) == 2)
    first, again = orchestrator.said(AttemptFailed, attempt)
    assert first == again
    assert len(orchestrator.said(AttemptStarted, attempt)) == 1


def _event(attempt: RunAttempt) -> dict[str, Any]:
    event = wrap(attempt, event_id="1", source="/tests", subject="1", time=datetime.now(UTC))
    return json.loads(codec(RunAttempt).encode([event]))[0]


def _wrong_model(attempt: RunAttempt) -> bytes:
    return json.dumps([_event(attempt.model_copy(update={"model_id": "silhouette-v1"}))]).encode()


async def until_there(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    async with asyncio.timeout(10):
        while (message := await queue.get(fail=False, no_ack=True)) is None:  # noqa: ASYNC110  # the broker tells nobody
            await asyncio.sleep(0.01)
    return message


@pytest.mark.usefixtures("worker")
async def test_one_poison_event_of_a_message_is_buried_alone_and_the_other_attempts_are_run(orchestrator, broker_url):
    first, last = task(), task()
    (other,) = json.loads(_wrong_model(task()))
    events = [_event(first), {"id": "poison", "type": "pipeline3d.attempt.run.v9"}, other, _event(last)]
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(topology.Exchange.GPU.value)
        message = aio_pika.Message(json.dumps(events).encode(), type=RunAttempt.event_type())
        await exchange.publish(message, topology.run_attempt_key(SIMULATED))
        for attempt in (first, last):
            assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)
        dead = await channel.get_queue(DeadLetterQueue(TASKS).name)
        letters = [await until_there(dead), await until_there(dead)]
        assert {letter.headers["x-reason"]: json.loads(letter.body) for letter in letters} == {
            "unknown_version": [events[1]],
            "wrong_model": [other],
        }
        assert await dead.get(fail=False) is None


@pytest.mark.parametrize(
    ("body", "message_type", "reason"),
    [
        (b"not json at all", RunAttempt.event_type(), "invalid_payload"),
        (b"[]", RunAttempt.event_type(), "invalid_payload"),
        (b'[{"type": "pipeline3d.attempt.run.v9"}]', RunAttempt.event_type(), "unknown_version"),
        (b"[]", "pipeline3d.attempt.run.v9", "unknown_version"),
        (b"[]", "pipeline3d.something.else.v1", "unknown_type"),
        (_wrong_model(task()), RunAttempt.event_type(), "wrong_model"),
    ],
)
@pytest.mark.usefixtures("worker")
async def test_a_message_that_cannot_be_read_is_buried_with_its_reason(
    orchestrator, broker_url, body, message_type, reason
):
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(topology.Exchange.GPU.value)
        message = aio_pika.Message(body, type=message_type, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, topology.run_attempt_key(SIMULATED))
        dead = await channel.get_queue(DeadLetterQueue(TASKS).name)
        async with dead.iterator() as letters:
            async for buried in letters:
                assert buried.body == body
                assert buried.headers["x-reason"] == reason
                await buried.ack()
                break
    attempt = task()
    await orchestrator.send(attempt)
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)

"""The whole orchestrator on real PostgreSQL and RabbitMQ, with a stand-in for everybody it talks to."""

import asyncio

import aio_pika
import pytest
from services.orchestrator.tests.builders import (
    GLB,
    MODEL,
    OTHER_WORKER,
    STRANGER,
    WORKER,
    a_spec,
    cancel,
    failed,
    stage_changed,
    started,
    succeeded,
)
from services.orchestrator.tests.integration.conftest import StartOrchestrator, StartWorld
from services.orchestrator.tests.integration.world import World

from contracts import topology
from contracts.attempts import AttemptSucceeded, RunAttempt
from contracts.failures import FailureCode
from contracts.jobs import (
    JobCancelled,
    JobCancelling,
    JobFailed,
    JobQueued,
    JobRetryScheduled,
    JobSpec,
    JobStageChanged,
    JobStarted,
    JobSucceeded,
)
from contracts.states import JobStatus
from contracts.topology import DeadLetterQueue

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def running(world: World, spec: JobSpec) -> RunAttempt:
    """Has the job requested, dispatched and started."""
    await world.heartbeat()
    await world.request(spec)
    task = await world.next_task()
    assert task.job_id == spec.job_id
    await world.say(started(spec.job_id, task.attempt_id))
    await world.told(spec.job_id, JobStarted)
    return task


async def take(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    """The queue's next message, once there is one; it is gone then."""
    async with asyncio.timeout(20):
        while (message := await queue.get(fail=False, no_ack=True)) is None:  # noqa: ASYNC110  # the queue is elsewhere
            await asyncio.sleep(0.01)
    return message


# --- the usual way ---


async def test_a_job_goes_from_request_to_success(start_orchestrator: StartOrchestrator, world: World) -> None:
    await start_orchestrator()
    spec = a_spec(execution_timeout_seconds=77)
    await world.heartbeat()
    await world.request(spec, traceparent=TRACE)
    task = await world.next_task()
    assert (task.attempt, task.user_id, task.input_params) == (1, spec.user_id, spec.input_params)
    assert task.execution_timeout_seconds == 77
    await world.say(started(spec.job_id, task.attempt_id))
    await world.told(spec.job_id, JobStarted)
    await world.say(stage_changed(spec.job_id, task.attempt_id))
    await world.told(spec.job_id, JobStageChanged)
    await world.say(succeeded(spec.job_id, task.attempt_id))

    events = await world.events_of(spec.job_id, 4)
    assert [type(event) for event in events] == [JobQueued, JobStarted, JobStageChanged, JobSucceeded]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    queued, done = events[0], events[-1]
    assert isinstance(queued, JobQueued)
    assert queued.job == spec
    assert isinstance(done, JobSucceeded)
    assert (done.state.status, done.outputs, done.attempt_id) == (JobStatus.SUCCEEDED, (GLB,), task.attempt_id)
    assert {event.traceparent for event in world.heard} == {TRACE}
    assert [event.id for event in world.heard] == [f"{spec.job_id}/{seq}" for seq in (1, 2, 3, 4)]


async def test_jobs_that_came_before_any_worker_start_when_one_comes(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator()
    specs = [a_spec() for _ in range(3)]
    await world.request(*specs)
    for spec in specs:
        await world.told(spec.job_id, JobQueued)
    await world.heartbeat(slots=3)
    assert {(await world.next_task()).job_id for _ in specs} == {spec.job_id for spec in specs}


async def test_a_success_that_overtook_its_start_counts_as_both(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator()
    spec = a_spec()
    await world.heartbeat()
    await world.request(spec)
    task = await world.next_task()
    await world.say(succeeded(spec.job_id, task.attempt_id), started(spec.job_id, task.attempt_id))
    assert [type(event) for event in await world.events_of(spec.job_id, 3)] == [JobQueued, JobStarted, JobSucceeded]


# --- cancelling ---


async def test_a_waiting_job_cancels_at_once(start_orchestrator: StartOrchestrator, world: World) -> None:
    await start_orchestrator()
    spec = a_spec()
    await world.request(spec)
    await world.say(cancel(spec.job_id, STRANGER), cancel(spec.job_id))
    await world.told(spec.job_id, JobCancelled)
    assert [event.seq for event in await world.events_of(spec.job_id, 2)] == [1, 2]


async def test_a_running_job_cancels_when_its_worker_lets_go(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator()
    spec = a_spec()
    task = await running(world, spec)
    await world.say(cancel(spec.job_id))
    cancelling = await world.told(spec.job_id, JobCancelling)
    assert (cancelling.state.status, cancelling.state.cancel_requested) == (JobStatus.RUNNING, True)
    abort = await world.next_abort()
    assert (abort.attempt_id, abort.reason) == (task.attempt_id, FailureCode.CANCELLED)
    await world.say(failed(spec.job_id, task.attempt_id, FailureCode.CANCELLED))
    assert (await world.told(spec.job_id, JobCancelled)).state.status is JobStatus.CANCELLED


async def test_a_lost_abort_is_repeated_at_the_next_heartbeat(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator()
    spec = a_spec()
    task = await running(world, spec)
    await world.say(cancel(spec.job_id))
    await world.next_abort()
    await world.heartbeat(task.attempt_id)
    abort = await world.next_abort()
    assert (abort.attempt_id, abort.reason) == (task.attempt_id, FailureCode.CANCELLED)


async def test_a_cancel_that_overtook_its_request_waits_for_it(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator()
    spec = a_spec()
    await world.say(cancel(spec.job_id))
    await world.request(spec)
    await world.told(spec.job_id, JobCancelled)


# --- what time does ---


async def test_an_attempt_whose_worker_fell_silent_is_replaced_and_its_late_word_is_not_heard(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator(lease_ttl_seconds=0.2)
    spec = a_spec(retry_backoff_seconds=0.01)
    lost = await running(world, spec)
    retry = await world.told(spec.job_id, JobRetryScheduled)
    assert (retry.attempt_id, retry.failure.code) == (lost.attempt_id, FailureCode.WORKER_LOST)
    assert (await world.next_abort()).attempt_id == lost.attempt_id

    again = await world.next_task()
    assert (again.job_id, again.attempt) == (spec.job_id, 2)
    assert again.attempt_id != lost.attempt_id
    await world.say(succeeded(spec.job_id, lost.attempt_id), succeeded(spec.job_id, again.attempt_id))
    assert (await world.told(spec.job_id, JobSucceeded)).attempt_id == again.attempt_id


async def test_a_job_whose_workers_keep_falling_silent_fails(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator(lease_ttl_seconds=0.1)
    spec = a_spec(max_attempts=2, retry_backoff_seconds=0)
    await running(world, spec)
    again = await world.next_task()
    await world.say(started(spec.job_id, again.attempt_id))
    end = await world.told(spec.job_id, JobFailed)
    assert end.state.error is not None
    assert (end.state.error.code, end.state.attempt) == (FailureCode.WORKER_LOST, 2)


async def test_an_attempt_that_outlives_its_execution_timeout_is_given_up(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator(execution_grace_seconds=0.05)
    spec = a_spec(max_attempts=1, execution_timeout_seconds=0.05)
    task = await running(world, spec)
    end = await world.told(spec.job_id, JobFailed)
    assert end.state.error is not None
    assert end.state.error.code is FailureCode.EXECUTION_TIMEOUT
    abort = await world.next_abort()
    assert (abort.attempt_id, abort.reason) == (task.attempt_id, FailureCode.EXECUTION_TIMEOUT)


async def test_a_job_that_nobody_takes_fails_at_its_queue_deadline(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator()
    spec = a_spec(queue_timeout_seconds=0.05)
    await world.request(spec)
    end = await world.told(spec.job_id, JobFailed)
    assert end.state.error is not None
    assert end.state.error.code is FailureCode.QUEUE_TIMEOUT


# --- what the broker loses, doubles and garbles ---


async def test_a_task_that_the_broker_lost_is_put_on_the_bus_again(
    start_orchestrator: StartOrchestrator, start_world: StartWorld, channel: aio_pika.abc.AbstractChannel
) -> None:
    gateway = await start_world(takes_tasks=False)
    tasks = topology.worker_tasks(MODEL)
    await gateway.bus.declare(tasks)
    await start_orchestrator(redispatch_after_seconds=0.3)
    spec = a_spec()
    await gateway.heartbeat()
    await gateway.request(spec)
    lost = await take(await channel.get_queue(tasks.name))  # and told to nobody
    worker = await start_world(worker_id=OTHER_WORKER)
    task = await worker.next_task()
    assert f"{task.attempt_id}/run" == lost.message_id


async def test_a_request_said_again_has_the_jobs_events_told_again(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator(relay_patience_seconds=1.0)
    spec = a_spec()
    task = await running(world, spec)
    before = len(world.heard)
    await world.request(spec)
    await world.until(lambda: {event.id for event in world.heard[before:]} == {f"{spec.job_id}/1", f"{spec.job_id}/2"})
    await world.say(succeeded(spec.job_id, task.attempt_id))
    assert [event.seq for event in await world.events_of(spec.job_id, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    "poison",
    [
        (b"\x00 garbage", AttemptSucceeded.event_type(), "invalid_payload"),
        (b'[{"type": "pipeline3d.attempt.succeeded.v9"}]', AttemptSucceeded.event_type(), "unknown_version"),
        (b"[]", "pipeline3d.attempt.exploded.v1", "unknown_type"),
    ],
)
async def test_poison_is_put_aside_with_its_reason_and_the_service_lives_on(
    start_orchestrator: StartOrchestrator,
    world: World,
    channel: aio_pika.abc.AbstractChannel,
    poison: tuple[bytes, str, str],
) -> None:
    body, type_, reason = poison
    await start_orchestrator()
    spec = a_spec()
    task = await running(world, spec)
    gpu = await channel.get_exchange(topology.Exchange.GPU)
    await gpu.publish(aio_pika.Message(body, type=type_), AttemptSucceeded.routing_key)
    await world.say(succeeded(spec.job_id, task.attempt_id))
    await world.told(spec.job_id, JobSucceeded)
    letter = await take(await channel.get_queue(DeadLetterQueue(topology.ORCHESTRATOR_REPORTS).name))
    assert (letter.body, letter.headers["x-reason"]) == (body, reason)


# --- two workers, one attempt ---


async def test_a_worker_that_starts_what_another_already_runs_is_told_to_stop(
    start_orchestrator: StartOrchestrator, world: World
) -> None:
    await start_orchestrator()
    spec = a_spec()
    await world.heartbeat()
    await world.request(spec)
    task = await world.next_task()
    await world.say(started(spec.job_id, task.attempt_id, OTHER_WORKER))
    await world.told(spec.job_id, JobStarted)
    await world.say(started(spec.job_id, task.attempt_id, WORKER))
    assert (await world.next_abort()).attempt_id == task.attempt_id
    await world.say(
        succeeded(spec.job_id, task.attempt_id, WORKER), succeeded(spec.job_id, task.attempt_id, OTHER_WORKER)
    )
    await world.told(spec.job_id, JobSucceeded)
    assert [event.seq for event in await world.events_of(spec.job_id, 3)] == [1, 2, 3]

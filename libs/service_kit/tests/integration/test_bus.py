"""What happens to a delivery, and what a publish promises, on a real RabbitMQ."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from libs.service_kit.tests.integration.conftest import Broker, StartBus

from contracts import topology
from contracts.attempts import AbortAttempt, AttemptProgressed
from contracts.cloudevents import CloudEvent, codec, wrap
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, UserId, WorkerId
from contracts.jobs import JobCancelRequested, JobRequested
from contracts.states import Stage
from contracts.topology import DeadLetterQueue
from devstack.severable import SeverableWay
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError, OperationalError

REQUESTS = topology.ORCHESTRATOR_REQUESTS
DEAD_REQUESTS = DeadLetterQueue(REQUESTS)
TYPE = JobCancelRequested.event_type()
Events = Sequence[CloudEvent[JobCancelRequested]]


def cancel_request(event_id: str = "e-1") -> CloudEvent[JobCancelRequested]:
    now = datetime.now(UTC)
    message = JobCancelRequested(job_id=JobId(uuid4()), user_id=UserId(uuid4()), requested_at=now)
    return wrap(message, event_id=event_id, source="/test", subject=str(message.job_id), time=now)


class Heard:
    """A handler that notes what it is given, and fails as often as it is told to."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self._batches: asyncio.Queue[Events] = asyncio.Queue()

    async def __call__(self, events: Events) -> None:
        self._batches.put_nowait(events)
        if self._errors:
            raise self._errors.pop(0)

    async def next(self) -> Events:
        async with asyncio.timeout(10):
            return await self._batches.get()

    @property
    def is_silent(self) -> bool:
        return self._batches.empty()

    def subscribe(self, bus: Bus) -> None:
        bus.on(REQUESTS, JobCancelRequested)(self)


async def eventually(action: Callable[[], Awaitable[None]]) -> None:
    """Repeats what may fail while the bus is finding its way back."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await action()
            except BusUnavailableError:
                await asyncio.sleep(0.05)


# --- deliveries ---


async def test_a_batch_arrives_whole_and_is_acknowledged_once_it_is_handled(
    start_bus: StartBus, broker: Broker
) -> None:
    heard = Heard()
    bus = await start_bus(heard.subscribe)
    events = [cancel_request("e-1"), cancel_request("e-2")]
    await bus.publish(JobCancelRequested, events)
    assert await heard.next() == events
    await bus.stop()  # an unacknowledged delivery would be back in the queue now
    assert await broker.count(REQUESTS) == 0


async def test_what_is_said_before_the_consumers_first_start_waits_for_it(start_bus: StartBus) -> None:
    publisher = await start_bus()
    await publisher.publish(JobCancelRequested, [cancel_request("early")])
    heard = Heard()
    await start_bus(heard.subscribe)
    assert [event.id for event in await heard.next()] == ["early"]


async def test_a_delivery_that_met_an_outage_comes_again(start_bus: StartBus, broker: Broker) -> None:
    heard = Heard(OperationalError("the database is away"))
    bus = await start_bus(heard.subscribe)
    await bus.publish(JobCancelRequested, [cancel_request()])
    assert await heard.next() == await heard.next()
    assert await broker.count(DEAD_REQUESTS) == 0


async def test_an_outage_however_long_puts_no_good_message_among_the_dead(
    start_bus: StartBus, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_kit.consumer._LONGEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("service_kit.consumer._FIRST_PAUSE_SECONDS", 0.01)
    tries = topology.DELIVERY_LIMIT + 10
    heard = Heard(*(OperationalError("the database is away") for _ in range(tries)))
    bus = await start_bus(heard.subscribe)
    await bus.publish(JobCancelRequested, [cancel_request()])
    for _ in range(tries + 1):
        await heard.next()
    await bus.stop()
    assert (await broker.count(REQUESTS), await broker.count(DEAD_REQUESTS)) == (0, 0)


async def test_a_bus_that_stops_during_an_outage_leaves_the_delivery_to_others(
    start_bus: StartBus, broker: Broker
) -> None:
    heard = Heard(*(OperationalError("the database is away") for _ in range(100)))
    bus = await start_bus(heard.subscribe)
    await bus.publish(JobCancelRequested, [cancel_request()])
    await heard.next()
    await bus.stop_consuming()
    await bus.stop()
    assert (await broker.take(REQUESTS)).redelivered


async def test_a_delivery_that_met_a_bug_is_buried_unchanged_with_the_reason(
    start_bus: StartBus, broker: Broker
) -> None:
    heard = Heard(ValueError("a bug"))
    bus = await start_bus(heard.subscribe)
    event = cancel_request("buried")
    await bus.publish(JobCancelRequested, [event])
    dead = await broker.take(DEAD_REQUESTS)
    assert dead.headers["x-reason"] == "handler_crashed"
    assert "a bug" in str(dead.headers["x-detail"])
    assert (dead.message_id, dead.type) == ("buried", TYPE)
    assert codec(JobCancelRequested).decode(dead.body) == [event]
    await bus.publish(JobCancelRequested, [cancel_request("next")])
    await heard.next()
    assert [event.id for event in await heard.next()] == ["next"]


async def test_a_bus_that_stopped_consuming_takes_nothing_more_but_still_publishes(
    start_bus: StartBus, broker: Broker
) -> None:
    heard = Heard()
    bus = await start_bus(heard.subscribe)
    await bus.stop_consuming()
    await bus.publish(JobCancelRequested, [cancel_request()])
    assert await bus.ready_messages(REQUESTS) == 1
    assert heard.is_silent


async def test_each_process_hears_all_telemetry_in_a_queue_that_goes_with_it(
    start_bus: StartBus, broker: Broker
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    def listen(instance: str) -> Callable[[Bus], None]:
        def subscribe(bus: Bus) -> None:
            @bus.on(topology.gateway_telemetry(instance), AttemptProgressed)
            async def on_attempt_progressed(events: Sequence[CloudEvent[AttemptProgressed]]) -> None:
                heard.put_nowait(instance)

        return subscribe

    one = await start_bus(listen("one"))
    await start_bus(listen("two"))
    now = datetime.now(UTC)
    progress = AttemptProgressed(
        job_id=JobId(uuid4()),
        attempt_id=AttemptId(uuid4()),
        worker_id=WorkerId("w"),
        reported_at=now,
        attempt=1,
        stage=Stage.GENERATE,
        percent=50,
    )
    event = wrap(progress, event_id="p", source="/test", subject="s", time=now)
    await one.publish(AttemptProgressed, [event], durable=False)
    async with asyncio.timeout(10):
        assert {await heard.get(), await heard.get()} == {"one", "two"}


# --- publishing ---


async def test_a_durable_message_that_no_queue_takes_is_not_confirmed(start_bus: StartBus, broker: Broker) -> None:
    bus = await start_bus()
    await broker.delete(REQUESTS)
    with pytest.raises(BusUnavailableError):
        await bus.publish(JobCancelRequested, [cancel_request()])


async def test_telemetry_that_nobody_listens_to_is_no_error(start_bus: StartBus) -> None:
    bus = await start_bus()
    now = datetime.now(UTC)
    abort = AbortAttempt(job_id=JobId(uuid4()), attempt_id=AttemptId(uuid4()), reason=FailureCode.CANCELLED)
    event = wrap(abort, event_id="a", source="/test", subject="s", time=now)
    await bus.publish(AbortAttempt, [event], routing_key="attempt.abort.nobody", durable=False)


async def test_a_bus_that_is_not_connected_says_so_and_keeps_nothing() -> None:
    with pytest.raises(BusUnavailableError):
        await Bus("amqp://localhost:1/", service="test").publish(JobCancelRequested, [cancel_request()])


async def test_a_handler_for_what_its_queue_does_not_hear_is_a_mistake_found_at_start() -> None:
    bus = Bus("amqp://localhost:1/", service="test")
    with pytest.raises(ValueError, match="does not hear"):
        bus.on(topology.ORCHESTRATOR_REPORTS, JobRequested)


# --- outages ---


async def test_after_an_outage_the_bus_publishes_and_consumes_again(start_bus: StartBus, broker_url: str) -> None:
    async with SeverableWay(broker_url) as way:
        heard = Heard()
        bus = await start_bus(heard.subscribe, way.url)
        assert await bus.ping()
        way.cut()
        with pytest.raises(BusUnavailableError):
            await bus.publish(JobCancelRequested, [cancel_request("lost")])
        async with asyncio.timeout(10):
            while await bus.ping():  # noqa: ASYNC110  # the connection notices in its own time, and tells nobody
                await asyncio.sleep(0.01)
        await way.mend()
        await eventually(lambda: bus.publish(JobCancelRequested, [cancel_request("after")]))
        while [event.id for event in await heard.next()] != ["after"]:
            pass  # the one that was not confirmed may have been stored all the same
        assert await bus.ping()
        await bus.stop()


async def test_a_broker_that_lost_everything_is_set_up_anew(
    start_bus: StartBus, broker: Broker, broker_url: str
) -> None:
    async with SeverableWay(broker_url) as way:
        heard = Heard(*(ValueError("a bug") for _ in range(20)))  # however often it comes
        bus = await start_bus(heard.subscribe, way.url)
        way.cut()
        for queue in topology.SHARED_QUEUES:
            await broker.delete(queue)
            await broker.delete(DeadLetterQueue(queue))
        await way.mend()
        # Queue by queue: a message that comes in between is not lost, but buried only when it comes again.
        for queue in topology.SHARED_QUEUES:
            await broker.until_there(queue)
            if queue.keeps_dead_letters:
                await broker.until_there(DeadLetterQueue(queue))
        await eventually(lambda: bus.publish(JobCancelRequested, [cancel_request("after")]))
        assert [event.id for event in await heard.next()] == ["after"]
        assert (await broker.take(DEAD_REQUESTS)).message_id == "after"
        await bus.stop()

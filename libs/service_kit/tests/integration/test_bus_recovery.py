"""The bus while the broker is away, empty, frozen or changed under it, on a real RabbitMQ."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from libs.service_kit.tests.integration.conftest import Broker, StartBus

from contracts import topology
from contracts.attempts import AttemptProgressed
from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import AttemptId, JobId, UserId, WorkerId
from contracts.jobs import JobCancelRequested, JobQueued, JobSpec, JobState
from contracts.message import Message
from contracts.states import JobStatus, Stage
from contracts.topology import Queue
from devstack.addresses import RabbitAddress
from devstack.severable import SeverableWay
from service_kit.bus import Bus
from service_kit.consumer import PREFETCH
from service_kit.errors import BusUnavailableError

REQUESTS = topology.ORCHESTRATOR_REQUESTS
NOW = datetime.now(UTC)


def event_of(message: Message, event_id: str = "e") -> CloudEvent[Any]:
    return wrap(message, event_id=event_id, source="/test", subject="s", time=NOW)


def cancel_request(event_id: str = "e") -> CloudEvent[Any]:
    return event_of(JobCancelRequested(job_id=JobId(uuid4()), user_id=UserId(uuid4()), requested_at=NOW), event_id)


def job_queued(event_id: str) -> CloudEvent[Any]:
    job = JobSpec(job_id=JobId(uuid4()), user_id=UserId(uuid4()), model_id="m", input_params={}, requested_at=NOW)
    state = JobState(status=JobStatus.QUEUED)
    message = JobQueued(
        job_id=job.job_id, seq=1, user_id=job.user_id, model_id="m", occurred_at=NOW, state=state, job=job
    )
    return event_of(message, event_id)


def progress(event_id: str) -> CloudEvent[Any]:
    message = AttemptProgressed(
        job_id=JobId(uuid4()),
        attempt_id=AttemptId(uuid4()),
        worker_id=WorkerId("w"),
        reported_at=NOW,
        attempt=1,
        stage=Stage.GENERATE,
        percent=50,
    )
    return event_of(message, event_id)


class Heard:
    """Counts what its handler is given, by event id."""

    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    async def __call__(self, events: Sequence[CloudEvent[Any]]) -> None:
        async with self._changed:
            self.ids.update(event.id for event in events)
            self._changed.notify_all()

    async def until(self, event_id: str) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.ids[event_id])

    def subscribe(self, bus: Bus) -> None:
        bus.on(REQUESTS, JobCancelRequested)(self)


async def eventually(check: Callable[[], Awaitable[Any]], *, within_seconds: float = 20.0) -> Any:
    async with asyncio.timeout(within_seconds):
        while not (answer := await check()):  # noqa: ASYNC110  # it is the broker's
            await asyncio.sleep(0.02)
    return answer


async def published(bus: Bus, event: CloudEvent[Any]) -> bool:
    try:
        await bus.publish(type(event.data), [event])
    except BusUnavailableError:
        return False
    return True


async def test_a_process_holds_no_more_deliveries_than_it_said(start_bus: StartBus, broker: Broker) -> None:
    handling, most, go_on = 0, 0, asyncio.Event()

    def subscribe(bus: Bus) -> None:
        @bus.on(REQUESTS, JobCancelRequested)
        async def slowly(events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
            nonlocal handling, most
            handling += 1
            most = max(most, handling)
            await go_on.wait()
            handling -= 1

    bus = await start_bus(subscribe)
    await asyncio.gather(*(bus.publish(JobCancelRequested, [cancel_request(str(n))]) for n in range(PREFETCH + 50)))
    await eventually(lambda: _is(handling >= PREFETCH))
    await bus.publish(JobCancelRequested, [cancel_request("one more round trip")])
    assert (most, await broker.count(REQUESTS)) == (PREFETCH, 51)
    go_on.set()


async def _is(value: bool) -> bool:
    return value


async def test_a_queue_deleted_under_its_consumer_is_back_with_every_binding(
    start_bus: StartBus, broker: Broker
) -> None:
    heard = Heard()
    bus = await start_bus(heard.subscribe)
    await broker.delete(REQUESTS)
    await eventually(lambda: published(bus, cancel_request("after")))
    await heard.until("after")


async def test_an_exchange_or_a_binding_that_disappears_is_back_before_long(
    start_bus: StartBus, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_kit.session_keeper._INSPECTION_INTERVAL_SECONDS", 0.1)
    heard = Heard()
    bus = await start_bus(heard.subscribe)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(REQUESTS.name)
        await queue.unbind(REQUESTS.exchange.value, JobCancelRequested.routing_key)
        await eventually(lambda: published(bus, cancel_request("after the binding")))
        await channel.exchange_delete(REQUESTS.exchange.value)
        await eventually(lambda: published(bus, cancel_request("after the exchange")))
    await heard.until("after the binding")
    await heard.until("after the exchange")


async def test_a_reset_to_empty_ends_in_a_bus_that_hears_everything_again(
    start_bus: StartBus, rabbitmq_address: RabbitAddress, broker_url: str
) -> None:
    shared, own = Heard(), Heard()

    def subscribe(bus: Bus) -> None:
        shared.subscribe(bus)
        bus.on(topology.gateway_telemetry("g"), AttemptProgressed)(own)

    bus = await start_bus(subscribe)
    await reset(rabbitmq_address, broker_url)
    await eventually(bus.ping)
    assert await bus.is_consuming()
    assert await published(bus, cancel_request("after"))
    await bus.publish(AttemptProgressed, [progress("telemetry")], durable=False)
    await shared.until("after")
    await own.until("telemetry")


async def test_what_is_confirmed_after_a_reset_is_in_every_queue_that_should_hear_it(
    start_bus: StartBus, rabbitmq_address: RabbitAddress, broker_url: str
) -> None:
    """With publishers that never pause: they must be kept out until the last binding is back."""
    assert rabbitmq_address.vhosts
    vhost = broker_url.rpartition("/")[2]
    bus = await start_bus()
    await rabbitmq_address.vhosts.drop(vhost)
    while await published(bus, job_queued("before")):
        pass
    confirmed: set[str] = set()

    async def keep_publishing(name: str) -> None:
        for number in count():
            if len(confirmed) > 200:
                return
            if await published(bus, job_queued(f"{name}-{number}")):
                confirmed.add(f"{name}-{number}")

    publishers = [asyncio.create_task(keep_publishing(str(n))) for n in range(8)]
    await rabbitmq_address.vhosts.create(vhost)
    async with asyncio.timeout(30):
        await asyncio.gather(*publishers)
    for queue in (topology.GATEWAY_PROJECTION, topology.ARTIFACTS_INPUTS):
        assert confirmed <= await drained(broker_url, queue), queue.name


async def test_an_unreachable_broker_fails_readiness_at_once_and_liveness_never(
    start_bus: StartBus, broker_url: str
) -> None:
    heard = Heard()
    async with SeverableWay(broker_url) as way:
        bus = await start_bus(heard.subscribe, way.url)
        assert await bus.ping()
        way.freeze()
        assert not await bus.ping(), "nothing was closed, and nothing comes back"
        way.cut()
        assert not await bus.ping()
        assert await bus.is_consuming()
        await way.mend()
        await eventually(bus.ping)
        assert await bus.is_consuming()
        await bus.stop()


async def test_a_queue_that_refuses_us_fails_liveness_until_it_lets_us_in(
    start_bus: StartBus, broker: Broker, broker_url: str
) -> None:
    heard = Heard()
    bus = await start_bus(heard.subscribe)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(REQUESTS.name)
        await channel.declare_queue(REQUESTS.name, durable=True)  # classic, where a quorum queue is wanted

    async def refused() -> bool:
        return not await bus.is_consuming()

    await eventually(refused)
    assert not await bus.ping()
    await broker.delete(REQUESTS)
    await eventually(bus.is_consuming)
    await eventually(lambda: published(bus, cancel_request("after")))
    await heard.until("after")


async def test_a_connection_that_is_dead_without_an_end_is_replaced(
    start_bus: StartBus, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_kit.session_keeper._INSPECTION_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr("service_kit.session_keeper._SILENCE_SECONDS", 0.5)
    heard = Heard()
    async with SeverableWay(broker_url) as way:
        bus = await start_bus(heard.subscribe, way.url)
        before = bus.session_number
        way.freeze()
        await eventually(lambda: _is(bus.session_number is None))
        way.thaw()
        await eventually(lambda: published(bus, cancel_request("after")))
        await heard.until("after")
        assert bus.session_number != before
        await bus.stop()


async def test_a_delivery_is_handled_to_its_end_although_its_connection_is_gone(
    start_bus: StartBus, broker_url: str
) -> None:
    entered, go_on, finished = asyncio.Event(), asyncio.Event(), Counter[str]()

    def subscribe(bus: Bus) -> None:
        @bus.on(REQUESTS, JobCancelRequested)
        async def slowly(events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
            entered.set()
            await go_on.wait()
            finished.update(event.id for event in events)

    async with SeverableWay(broker_url) as way:
        bus = await start_bus(subscribe, way.url)
        await bus.publish(JobCancelRequested, [cancel_request("slow")])
        await entered.wait()
        way.cut()
        await way.mend()
        await eventually(bus.ping)
        go_on.set()
        await eventually(lambda: _is(finished["slow"] == 2))  # to its end, and once more since it was not acknowledged
        await bus.stop()


async def test_what_is_under_way_is_answered_before_consuming_has_stopped(start_bus: StartBus, broker: Broker) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    def subscribe(bus: Bus) -> None:
        @bus.on(REQUESTS, JobCancelRequested)
        async def slowly(events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
            entered.set()
            await go_on.wait()

    bus = await start_bus(subscribe)
    await bus.publish(JobCancelRequested, [cancel_request()])
    await entered.wait()
    stopping = asyncio.create_task(bus.stop_consuming())
    await asyncio.wait([stopping], timeout=0.1)
    assert not stopping.done()
    go_on.set()
    await stopping
    await bus.stop()
    assert await broker.count(REQUESTS) == 0


async def test_stopping_takes_no_longer_for_a_broker_that_does_not_answer(start_bus: StartBus, broker_url: str) -> None:
    heard = Heard()
    async with SeverableWay(broker_url) as way:
        bus = await start_bus(heard.subscribe, way.url)
        way.freeze()
        async with asyncio.timeout(8):
            await bus.stop()


async def reset(broker: RabbitAddress, url: str) -> None:
    """The broker loses everything: exchanges, queues and what was in them."""
    assert broker.vhosts
    vhost = url.rpartition("/")[2]
    await broker.vhosts.drop(vhost)
    await broker.vhosts.create(vhost)


async def drained(url: str, queue: Queue) -> set[str | None]:
    """The ids of all messages that were in the queue."""
    ids = set()
    async with await aio_pika.connect(url) as connection:
        source = await (await connection.channel()).get_queue(queue.name)
        while (message := await source.get(fail=False, no_ack=True)) is not None:
            ids.add(message.message_id)
    return ids

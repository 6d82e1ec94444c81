"""What cannot be handled is put aside, once, with its reason; whatever came with it is handled."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
import structlog
from libs.service_kit.tests.integration.conftest import Broker, StartBus
from libs.service_kit.tests.integration.heard import REQUESTS, Heard, cancel_request
from prometheus_client import REGISTRY

from contracts import topology
from contracts.cloudevents import CONTENT_TYPE, codec
from contracts.jobs import JobCancelRequested, JobRequested
from contracts.topology import DELIVERY_LIMIT, DeadLetterQueue
from contracts.workers import WorkerHeartbeat
from service_kit.bus import Bus

DEAD_REQUESTS = DeadLetterQueue(REQUESTS)
TYPE, KEY = JobCancelRequested.event_type(), JobCancelRequested.routing_key
LATER_VERSION = TYPE.replace(".v1", ".v2")


@pytest.fixture
async def jobs(broker_url: str, start_bus: StartBus) -> AsyncIterator[aio_pika.abc.AbstractExchange]:
    """The exchange, for publishers that are not ours."""
    await start_bus()
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        yield await channel.get_exchange(topology.Exchange.JOBS)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The bus's log lines."""
    capturing = structlog.testing.CapturingLogger()
    monkeypatch.setattr("service_kit.bus.log", capturing)
    return capturing.calls


def batch(*ids: str) -> list[dict[str, Any]]:
    return json.loads(codec(JobCancelRequested).encode([cancel_request(event_id) for event_id in ids]))


def message(events: object, **properties: Any) -> aio_pika.Message:
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    return aio_pika.Message(body, **({"type": TYPE, "content_type": CONTENT_TYPE, "message_id": "m-1"} | properties))


def buried(queue: str, reason: str) -> float:
    return REGISTRY.get_sample_value("p3d_dead_letters_total", {"queue": queue, "reason": reason}) or 0.0


(EVENT,) = batch("e-1")


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (message(b"\x00 garbage"), "invalid_payload"),
        (message(b""), "invalid_payload"),
        (message(b"[]"), "invalid_payload"),
        (message(b"[]garbage"), "invalid_payload"),
        (message(EVENT), "invalid_payload"),  # JSON, but no list
        (message([{name: value for name, value in EVENT.items() if name != "id"}]), "invalid_payload"),
        (message([EVENT | {"data": {"job_id": 1}}]), "invalid_payload"),
        (message([EVENT | {"type": LATER_VERSION}]), "unknown_version"),
        (message([EVENT], type=LATER_VERSION), "unknown_version"),
        (message([EVENT | {"type": LATER_VERSION}], type=None), "unknown_version"),
        (message([EVENT | {"type": "job.exploded"}]), "unknown_type"),
        (message([EVENT], type="job.exploded"), "unknown_type"),
        (
            message([EVENT], type=JobRequested.event_type()),
            "unknown_type",
        ),  # the queue hears it, but nobody here handles it
        (message(b"garbage", type=None), "unknown_type"),
        (message([EVENT], content_type="text/plain"), "wrong_content_type"),
        (message(EVENT, content_type="application/cloudevents+json"), "wrong_content_type"),
    ],
)
async def test_what_cannot_be_read_is_buried_unchanged_with_the_reason_and_the_next_is_handled(
    start_bus: StartBus, jobs: aio_pika.abc.AbstractExchange, broker: Broker, poison: aio_pika.Message, reason: str
) -> None:
    heard = Heard()
    bus = await start_bus(heard.subscribe)
    poison.headers = {"x-foreign": "kept"}
    await jobs.publish(poison, KEY)
    letter = await broker.take(DEAD_REQUESTS)
    assert (letter.body, letter.type, letter.message_id) == (poison.body, poison.type, "m-1")
    assert (letter.headers["x-reason"], letter.headers["x-foreign"]) == (reason, "kept")
    assert (letter.headers["x-exchange"], letter.headers["x-routing-key"]) == (topology.Exchange.JOBS, KEY)
    await bus.publish(JobCancelRequested, [cancel_request("next")])
    await heard.until("next")
    assert heard.calls == [["next"]]


async def test_a_poison_message_is_delivered_counted_and_logged_once(
    start_bus: StartBus, jobs: aio_pika.abc.AbstractExchange, broker: Broker, logged: list[Any]
) -> None:
    heard = Heard(crash_at="poison")
    bus = await start_bus(heard.subscribe)
    before = buried(REQUESTS.name, "handler_crashed")
    await jobs.publish(message(batch("poison"), message_id="poison"), KEY)
    await bus.publish(JobCancelRequested, [cancel_request("neighbour")])
    await heard.until("poison", "neighbour")
    await bus.stop()  # a delivery that was not acknowledged would be back in the queue now
    assert (await broker.count(REQUESTS), await broker.count(DEAD_REQUESTS)) == (0, 1)
    assert sorted(heard.calls) == [["neighbour"], ["poison"]]
    assert buried(REQUESTS.name, "handler_crashed") == before + 1
    (line,) = [call.kwargs for call in logged if call.args == ("bus.message.buried",)]
    assert (line["message_id"], line["reason"], line["queue"]) == ("poison", "handler_crashed", REQUESTS.name)


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (EVENT | {"id": "poison", "type": LATER_VERSION, "data": {"new": "shape"}}, "unknown_version"),
        (EVENT | {"id": "poison", "data": None}, "invalid_payload"),
        (EVENT | {"id": "poison", "from_the_future": 1}, "handler_crashed"),
    ],
)
async def test_one_poison_event_of_a_batch_is_buried_alone_and_its_neighbours_are_handled(
    start_bus: StartBus, jobs: aio_pika.abc.AbstractExchange, broker: Broker, poison: dict[str, Any], reason: str
) -> None:
    heard = Heard(crash_at="poison")
    bus = await start_bus(heard.subscribe)
    before = buried(REQUESTS.name, reason)
    first, last = batch("first", "last")
    await jobs.publish(message([first, poison, last], message_id="first"), KEY)
    await heard.until("first", "last")
    letter = await broker.take(DEAD_REQUESTS)
    assert (json.loads(letter.body), letter.message_id, letter.type) == ([poison], "poison", TYPE)
    assert letter.headers["x-reason"] == reason
    await bus.stop()
    assert (await broker.count(REQUESTS), await broker.count(DEAD_REQUESTS)) == (0, 0)
    assert buried(REQUESTS.name, reason) == before + 1


async def test_a_batch_that_is_poison_throughout_stays_together(
    start_bus: StartBus, jobs: aio_pika.abc.AbstractExchange, broker: Broker
) -> None:
    bus = await start_bus(Heard().subscribe)
    events = [event | {"type": LATER_VERSION} for event in batch("one", "two", "three")]
    await jobs.publish(message(events), KEY)
    letter = await broker.take(DEAD_REQUESTS)
    assert (json.loads(letter.body), letter.message_id) == (events, "m-1")
    await bus.stop()
    assert await broker.count(DEAD_REQUESTS) == 0


async def test_a_foreign_publisher_may_leave_the_type_to_the_events(
    start_bus: StartBus, jobs: aio_pika.abc.AbstractExchange
) -> None:
    heard = Heard()
    await start_bus(heard.subscribe)
    await jobs.publish(message(batch("foreign"), type=None, content_type=None), KEY)
    await heard.until("foreign")


async def test_a_message_that_comes_back_too_often_dies_with_rabbitmqs_reason(
    jobs: aio_pika.abc.AbstractExchange, broker: Broker
) -> None:
    await jobs.publish(message([EVENT]), KEY)
    for _ in range(DELIVERY_LIMIT + 1):
        await broker.give_back(REQUESTS)
    letter = await broker.take(DEAD_REQUESTS)
    (death,) = letter.headers["x-death"]
    assert (death["reason"], death["queue"], death["routing-keys"]) == ("delivery_limit", REQUESTS.name, [KEY])
    assert await broker.count(REQUESTS) == 0


async def test_poison_on_a_queue_whose_senders_repeat_themselves_is_dropped_and_counted(
    start_bus: StartBus, broker: Broker, logged: list[Any]
) -> None:
    heartbeats = topology.ORCHESTRATOR_HEARTBEATS

    def subscribe(bus: Bus) -> None:
        @bus.on(heartbeats, WorkerHeartbeat)
        async def on_heartbeat(events: object) -> None: ...

    bus = await start_bus(subscribe)
    before = buried(heartbeats.name, "unknown_version")
    later = WorkerHeartbeat.event_type().replace(".v1", ".v2")
    await broker.say(b"[]", key=WorkerHeartbeat.routing_key, type=later, exchange=topology.Exchange.GPU)
    async with asyncio.timeout(10):
        while buried(heartbeats.name, "unknown_version") == before:  # noqa: ASYNC110  # a counter tells nobody
            await asyncio.sleep(0.01)
    await bus.stop()
    assert await broker.count(heartbeats) == 0
    assert buried(heartbeats.name, "unknown_version") == before + 1
    assert [call.args for call in logged if call.kwargs.get("reason")] == [("bus.message.dropped",)]

"""What a bus counts of itself, on a real RabbitMQ."""

import asyncio
from collections.abc import Sequence

import pytest
from libs.service_kit.tests.integration.conftest import Broker, StartBus
from libs.service_kit.tests.integration.heard import REQUESTS, Heard, cancel_request
from prometheus_client import REGISTRY

from contracts.cloudevents import CloudEvent
from contracts.jobs import JobCancelRequested, JobRequested
from devstack.polling import until
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError

TYPE = JobCancelRequested.event_type()


def read(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def published(outcome: str) -> float:
    return read("p3d_bus_published_total", type=TYPE, outcome=outcome)


def delivered(outcome: str) -> float:
    return read("p3d_bus_deliveries_total", queue=REQUESTS.name, outcome=outcome)


async def test_a_message_that_is_confirmed_and_handled_counts_once_on_each_side(start_bus: StartBus) -> None:
    heard = Heard()
    bus = await start_bus(heard.subscribe)
    before = published("confirmed"), delivered("handled"), read("p3d_bus_publish_seconds_count")
    await bus.publish(JobCancelRequested, [cancel_request("e-1"), cancel_request("e-2")])
    await heard.until("e-1", "e-2")
    counted = tuple(number + 1 for number in before)

    async def are_counted() -> bool:
        return (published("confirmed"), delivered("handled"), read("p3d_bus_publish_seconds_count")) == counted

    assert await until(are_counted, timeout_seconds=10)


async def test_a_message_that_is_put_aside_counts_as_rejected(start_bus: StartBus, broker: Broker) -> None:
    await start_bus(Heard().subscribe)
    before = delivered("rejected"), read("p3d_bus_published_total", type="dead_letter", outcome="confirmed")
    await broker.say(b"garbage", key=JobCancelRequested.routing_key, type="a type that somebody made up")

    async def is_counted() -> bool:
        return delivered("rejected") == before[0] + 1

    assert await until(is_counted, timeout_seconds=10)
    assert read("p3d_bus_published_total", type="dead_letter", outcome="confirmed") == before[1] + 1
    assert read("p3d_bus_published_total", type="a type that somebody made up", outcome="confirmed") == 0


async def test_what_is_not_confirmed_counts_as_failed() -> None:
    before = published("failed")
    with pytest.raises(BusUnavailableError):
        await Bus("amqp://127.0.0.1:1/", service="test").publish(JobCancelRequested, [cancel_request()])
    assert published("failed") == before + 1


async def test_the_oldest_delivery_grows_old_while_its_handler_is_stuck(start_bus: StartBus) -> None:
    stuck, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
        stuck.set()
        await go_on.wait()

    async def refuse(_events: Sequence[CloudEvent[JobRequested]]) -> None:
        raise AssertionError("nobody says this here")

    def subscribe(bus: Bus) -> None:
        bus.on(REQUESTS, JobCancelRequested)(handle)
        bus.on(REQUESTS, JobRequested)(refuse)  # another handler of the same queue

    def age() -> float:
        return read("p3d_bus_oldest_delivery_seconds", queue=REQUESTS.name)

    bus = await start_bus(subscribe)
    assert age() == 0
    await bus.publish(JobCancelRequested, [cancel_request()])
    await stuck.wait()
    first = age()
    assert 0 < first < age()
    go_on.set()

    async def is_idle() -> bool:
        return age() == 0

    assert await until(is_idle, timeout_seconds=10)


async def test_a_bus_shows_whether_it_is_connected(start_bus: StartBus) -> None:
    bus = await start_bus()
    assert read("p3d_bus_connected") == 1
    await bus.stop()
    assert read("p3d_bus_connected") == 0

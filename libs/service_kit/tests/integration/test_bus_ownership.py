"""Services that may make their own queues only: each as its own user, on a real RabbitMQ."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from urllib.parse import urlsplit

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused
from libs.service_kit.tests.integration.heard import REQUESTS, Heard, cancel_request

from contracts.cloudevents import CONTENT_TYPE, codec
from contracts.jobs import JobCancelRequested, JobQueued
from contracts.permissions import SERVICES, BusUser
from contracts.topology import Exchange
from devstack.addresses import RabbitAddress
from devstack.broker_users import broker_url, definitions_for, prepare_broker
from devstack.isolation import create_vhost, drop_vhost
from devstack.polling import until
from service_kit.bus import Bus
from service_kit.declare import NotDeclaredYetError
from service_kit.errors import BusUnavailableError
from service_kit.startup import once_available

StartAs = Callable[..., Awaitable[Bus]]


@pytest.fixture
async def own_broker(rabbitmq_address: RabbitAddress) -> AsyncIterator[RabbitAddress]:
    """A virtual host in which the users may do what they may, and there is nothing yet."""
    own = await create_vhost(rabbitmq_address)
    definitions = definitions_for(urlsplit(own.url).path.removeprefix("/"), own.url)
    assert own.vhosts is not None
    await own.vhosts.define(json.dumps(definitions | {"exchanges": [], "queues": [], "bindings": []}))
    yield own
    await drop_vhost(own)


@pytest.fixture
async def start_as(own_broker: RabbitAddress) -> AsyncIterator[StartAs]:
    async with AsyncExitStack() as stack:

        async def start(user: BusUser, subscribe: Callable[[Bus], None] = lambda _: None, patience: float = 20) -> Bus:
            bus = Bus(broker_url(own_broker, user), service=user)
            subscribe(bus)
            stack.push_async_callback(bus.stop)
            await once_available("broker", bus.start, patience_seconds=patience)
            return bus

        yield start


async def delete(broker: RabbitAddress, queue: str) -> None:
    async with await aio_pika.connect(broker.url) as connection, connection.channel() as channel:
        await channel.queue_delete(queue)


async def published(bus: Bus, event_id: str) -> bool:
    try:
        await bus.publish(JobCancelRequested, [cancel_request(event_id)])
    except BusUnavailableError:
        return False
    return True


async def test_services_make_together_what_a_broker_without_definitions_lacks(start_as: StartAs) -> None:
    heard = Heard()
    buses = await asyncio.gather(
        *(start_as(user, heard.subscribe if user is BusUser.ORCHESTRATOR else lambda _: None) for user in SERVICES)
    )
    assert all([await bus.ping() for bus in buses])
    assert await published(buses[SERVICES.index(BusUser.GATEWAY)], "e")
    await heard.until("e")


async def test_a_service_waits_for_the_queues_of_those_it_speaks_to_and_names_what_is_missing(
    start_as: StartAs,
) -> None:
    with pytest.raises(NotDeclaredYetError, match="the exchange jobs, which orchestrator makes, is not there yet"):
        await start_as(BusUser.GATEWAY, patience=0)
    with pytest.raises(
        NotDeclaredYetError, match=r"the queue gateway\.projection, which gateway makes, is not there yet"
    ):
        await start_as(BusUser.ORCHESTRATOR, patience=0)


async def test_with_definitions_every_service_starts_alone(start_as: StartAs, own_broker: RabbitAddress) -> None:
    await prepare_broker(own_broker)
    for user in SERVICES:
        bus = await start_as(user, patience=0)
        assert await bus.ping()
        await bus.stop()


async def test_a_deleted_queue_is_made_again_by_its_owner_and_until_then_nobody_speaks_to_it(
    start_as: StartAs, own_broker: RabbitAddress
) -> None:
    await prepare_broker(own_broker)
    gateway = await start_as(BusUser.GATEWAY)
    await delete(own_broker, REQUESTS.name)
    assert not await published(gateway, "nobody hears")
    assert await gateway.is_consuming(), "to start the gateway anew would not help"
    heard = Heard()
    await start_as(BusUser.ORCHESTRATOR, heard.subscribe)
    assert await until(lambda: published(gateway, "heard"), timeout_seconds=20)
    await heard.until("heard")


async def test_a_look_at_what_others_have_made_costs_no_session(start_as: StartAs, own_broker: RabbitAddress) -> None:
    """What is refused closes its channel, and would be found again every ten seconds."""
    await prepare_broker(own_broker)
    for user in SERVICES:
        bus = await start_as(user)
        await bus._sessions._inspect()
        assert (bus.session_number, await bus.ping()) == (1, True)


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_nobody_reaches_others_by_keys_in_headers_that_no_permission_looks_at(
    start_as: StartAs, own_broker: RabbitAddress, header: str
) -> None:
    """RabbitMQ before 3.13 lets it through, and the consumer puts it aside; later ones refuse it themselves."""
    await prepare_broker(own_broker)
    heard = Heard()
    await start_as(BusUser.ORCHESTRATOR, heard.subscribe)
    forged = aio_pika.Message(
        codec(JobCancelRequested).encode([cancel_request("forged")]),
        content_type=CONTENT_TYPE,
        type=JobCancelRequested.event_type(),
        headers={header: [JobCancelRequested.routing_key]},
    )
    # Of those who may publish on this exchange, the orchestrator may not under this key.
    async with await aio_pika.connect(broker_url(own_broker, BusUser.ORCHESTRATOR)) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(Exchange.JOBS.value, ensure=False)
        with suppress(ChannelAccessRefused):
            await exchange.publish(forged, JobQueued.routing_key, mandatory=False)
    gateway = await start_as(BusUser.GATEWAY)
    assert await published(gateway, "honest")
    await heard.until("honest")
    assert heard.calls == [["honest"]]

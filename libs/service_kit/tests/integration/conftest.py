"""A broker and a database of one test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aio_pika
import pytest

from contracts import topology
from contracts.topology import DeadLetterQueue, Queue
from devstack.addresses import PostgresAddress, RabbitAddress
from devstack.isolation import create_database, create_vhost, drop_database, drop_vhost
from service_kit.bus import Bus

StartBus = Callable[..., Awaitable[Bus]]


@pytest.fixture
async def broker_url(rabbitmq_address: RabbitAddress) -> AsyncIterator[str]:
    """An empty virtual host."""
    own = await create_vhost(rabbitmq_address)
    yield own.url
    await drop_vhost(own)


@pytest.fixture
async def admin_url(postgres_address: PostgresAddress) -> AsyncIterator[str]:
    """An empty database, as its administrator."""
    url = await create_database(postgres_address.admin_url)
    yield url
    await drop_database(url)


@pytest.fixture
async def start_bus(broker_url: str) -> AsyncIterator[StartBus]:
    """Starts a bus, after `subscribe` was called with it; stops it after the test."""
    async with AsyncExitStack() as stack:

        async def start(subscribe: Callable[[Bus], None] = lambda _: None, url: str = broker_url) -> Bus:
            bus = Bus(url, service="test")
            subscribe(bus)
            await bus.start()
            stack.push_async_callback(bus.stop)
            return bus

        yield start


class Broker:
    """The broker seen from outside, without a `Bus`."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, channel: aio_pika.abc.AbstractChannel) -> None:
        self._connection = connection
        self._channel = channel

    async def until_there(self, queue: Queue | DeadLetterQueue) -> None:
        """Returns once somebody has declared the queue."""
        async with asyncio.timeout(10):
            while not await self._is_there(queue):  # noqa: ASYNC110  # it is the broker's
                await asyncio.sleep(0.01)

    async def _is_there(self, queue: Queue | DeadLetterQueue) -> bool:
        async with self._connection.channel() as channel:  # which the broker closes where there is no such queue
            try:
                await channel.declare_queue(queue.name, passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return False
            return True

    async def say(self, body: bytes, *, key: str, type: str | None, exchange: str = topology.Exchange.JOBS) -> None:  # noqa: A002  # AMQP's word
        target = await self._channel.get_exchange(exchange)
        await target.publish(aio_pika.Message(body, type=type, message_id="m-1", headers={"x-foreign": "kept"}), key)

    async def take(self, queue: Queue | DeadLetterQueue) -> aio_pika.abc.AbstractIncomingMessage:
        """The next message of the queue, once there is one."""
        source = await self._channel.get_queue(queue.name)
        async with asyncio.timeout(10):
            while (message := await source.get(fail=False, no_ack=True)) is None:  # noqa: ASYNC110  # it is the broker's
                await asyncio.sleep(0.01)
        return message

    async def give_back(self, queue: Queue) -> None:
        """Takes the next message of the queue, once there is one, and puts it back."""
        source = await self._channel.get_queue(queue.name)
        async with asyncio.timeout(10):
            while (message := await source.get(fail=False)) is None:  # noqa: ASYNC110  # it is the broker's
                await asyncio.sleep(0.01)
        await message.nack(requeue=True)

    async def count(self, queue: Queue | DeadLetterQueue) -> int:
        """How many messages are ready in the queue."""
        declared = await self._channel.declare_queue(queue.name, passive=True)
        return declared.declaration_result.message_count or 0

    async def delete(self, queue: Queue | DeadLetterQueue) -> None:
        await self._channel.queue_delete(queue.name)


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Broker]:
    async with await aio_pika.connect(broker_url) as connection:
        yield Broker(connection, await connection.channel())

"""A broker with the topology on it, and somebody who publishes events as the relay does."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from examples.analytics.tests.integration.follower import Follower
from examples.analytics.tests.job_stories import message

from contracts.cloudevents import CONTENT_TYPE
from contracts.jobs import JobEvent
from contracts.topology import ANALYTICS_EVENTS, Exchange, Queue
from devstack.addresses import RabbitAddress
from devstack.isolation import create_vhost, drop_vhost
from service_kit.declare import declare_queue


@pytest.fixture
async def broker_url(rabbitmq_address: RabbitAddress) -> AsyncIterator[str]:
    """An empty virtual host."""
    own = await create_vhost(rabbitmq_address)
    yield own.url
    await drop_vhost(own)


class Publisher:
    """Says events on the bus, and does to the stream what may happen to it."""

    def __init__(self, url: str, connection: aio_pika.abc.AbstractConnection) -> None:
        self.url = url
        self._connection = connection

    async def declare(self, queue: Queue = ANALYTICS_EVENTS, **other_arguments: Any) -> None:
        async with self._connection.channel() as channel:
            await channel.declare_exchange(queue.exchange, aio_pika.ExchangeType.TOPIC, durable=True)
            if not other_arguments:
                await declare_queue(channel, queue)
                return
            arguments = {
                **queue.arguments,
                **{name.replace("_", "-"): value for name, value in other_arguments.items()},
            }
            declared = await channel.declare_queue(queue.name, durable=True, arguments=arguments)
            for key in queue.binding_keys:
                await declared.bind(queue.exchange, key)

    async def delete_stream(self) -> None:
        async with self._connection.channel() as channel:
            await channel.queue_delete(ANALYTICS_EVENTS.name)

    async def say(self, *batches: Sequence[JobEvent] | JobEvent) -> None:
        """Each batch is one message, in this order, and the stream has it when this returns."""
        async with self._connection.channel(on_return_raises=True) as channel:
            exchange = await channel.get_exchange(Exchange.JOBS, ensure=False)
            for batch in batches:
                events = [batch] if isinstance(batch, JobEvent) else batch
                said = aio_pika.Message(
                    message(events), content_type=CONTENT_TYPE, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                )
                await exchange.publish(said, events[0].routing_key)

    async def say_body(self, body: bytes) -> None:
        async with self._connection.channel(on_return_raises=True) as channel:
            exchange = await channel.get_exchange(Exchange.JOBS, ensure=False)
            await exchange.publish(aio_pika.Message(body), "job.queued")


@pytest.fixture
async def publisher(broker_url: str) -> AsyncIterator[Publisher]:
    async with await aio_pika.connect(broker_url) as connection:
        yield Publisher(broker_url, connection)


@pytest.fixture
def follower(broker_url: str, tmp_path: Path) -> Callable[..., Follower]:
    """One that reads into this test's own directory; `async with` runs it and ends it as SIGTERM does."""

    def make(start: str = "resume", url: str = broker_url, *, roll_seconds: float = 0.1) -> Follower:
        return Follower(url, tmp_path, start, roll_seconds)

    return make

"""One service's connection to RabbitMQ: publishing with confirms, consuming with explicit outcomes.

What happens to a delivery is decided here, once:

* handled → acknowledged;
* undecodable, or the handler hit a bug → published to its dead-letter queue with the reason, then acknowledged;
* a dependency is down → tried again in place, later and later; given back when the service stops or patience ends.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustExchange, AbstractRobustQueue
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from contracts import topology
from contracts.cloudevents import CONTENT_TYPE, CloudEvent, UndecodableMessageError, codec
from contracts.message import Message
from contracts.topology import DeadLetterQueue, Exchange, Queue, QueueKind
from service_kit.errors import BusUnavailableError, is_operational
from service_kit.metrics import DEAD_LETTERS

log = structlog.get_logger()

M = TypeVar("M", bound=Message)
Handler: TypeAlias = Callable[[Sequence[CloudEvent[Any]]], Awaitable[None]]

PREFETCH = 100
_CONFIRM_TIMEOUT_SECONDS = 5.0
_PAUSE_BEFORE_RETURN_SECONDS = 1.0
_PATIENCE_SECONDS = 900.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0


class Bus:
    """Declares what it uses, at start and again after every reconnect; a broker that lost everything is set up anew."""

    def __init__(self, url: str, *, service: str) -> None:
        self._service = service
        self._broker = RabbitBroker(
            url,
            default_channel=Channel(on_return_raises=True),
            reconnect_interval=1.0,
            app_id=service,
            logger=None,
            apply_types=False,  # handlers take a batch; dependency injection per delivery costs 0.2 ms
        )
        self._closing = asyncio.Event()
        self._handlers: dict[Queue, dict[str, Handler]] = defaultdict(dict)
        self._exchanges: dict[Exchange, AbstractRobustExchange] = {}

    def on(
        self, queue: Queue, message_type: type[M]
    ) -> Callable[[Callable[[Sequence[CloudEvent[M]]], Awaitable[None]]], Handler]:
        """Decorates the handler of one message type on one queue. Handlers run concurrently, up to `PREFETCH` deliveries."""
        if message_type not in queue.hears:
            raise ValueError(f"{queue.name} does not hear {message_type.__name__}")

        def register(handler: Callable[[Sequence[CloudEvent[M]]], Awaitable[None]]) -> Handler:
            self._handlers[queue][message_type.event_type()] = handler
            return handler

        return register

    async def start(self) -> None:
        """Connects, declares the exchanges and every shared queue, then starts consuming.

        Shared queues are declared by every service, not only by their consumer: what is said before the consumer's first start
        must be kept for it.
        """
        await self._broker.connect()
        for exchange in Exchange:
            self._exchanges[exchange] = await self._broker.declare_exchange(_rabbit_exchange(exchange))
        for queue in topology.SHARED_QUEUES:
            await self.declare(queue)
        for queue, handlers in self._handlers.items():
            await self.declare(queue)
            self._subscribe(queue, handlers)
        await self._broker.start()

    async def stop_consuming(self) -> None:
        """Takes no further deliveries; those under way can still be answered, and publishing goes on."""
        self._closing.set()
        for subscriber in self._broker.subscribers:
            await subscriber.stop()

    async def stop(self) -> None:
        """Closes the connection, once handlers under way have ended. Unanswered deliveries go to another consumer."""
        self._closing.set()
        await self._broker.stop()

    async def ping(self) -> bool:
        return await self._broker.ping(timeout=1.0)

    async def declare(self, queue: Queue) -> AbstractRobustQueue:
        """The queue with its bindings and, where it has one, its dead-letter queue."""
        declared = await self._broker.declare_queue(_rabbit_queue(queue))
        for key in queue.binding_keys:
            await declared.bind(self._exchanges[queue.exchange], routing_key=key)
        if queue.dead_letters and queue.kind is QueueKind.QUORUM:
            await self._declare_dead_letters(queue)
        return declared

    async def open_intake(self, queue: Queue, *, prefetch: int) -> AbstractRobustQueue:
        """The queue on a channel of its own, for a consumer that starts and stops consuming by itself.

        A changed `intake.channel.set_qos(prefetch_count=…)` counts for consumers started after it.
        """
        await self.declare(queue)
        connection = await self._broker.connect()
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=prefetch)
        return await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))

    async def ready_messages(self, queue: Queue) -> int:
        """How many messages wait in the queue, not counting those that a consumer holds."""
        declared = await self._broker.declare_queue(_rabbit_queue(queue))
        answer = await declared.channel.get_underlay_channel()
        result = await answer.queue_declare(queue.name, passive=True)
        return result.message_count or 0

    async def publish(
        self,
        message_type: type[M],
        events: Sequence[CloudEvent[M]],
        *,
        routing_key: str | None = None,
        durable: bool = True,
    ) -> None:
        """Publishes the events as one message.

        Durable: persistent, mandatory and confirmed; returning means that a queue has it. Otherwise fire and forget: telemetry
        that nobody listens to is no error. Raises `BusUnavailableError`; the message may have been stored all the same.
        """
        message = aio_pika.Message(
            codec(message_type).encode(events),
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT if durable else aio_pika.DeliveryMode.NOT_PERSISTENT,
            type=message_type.event_type(),
            message_id=events[0].id,
            app_id=self._service,
        )
        exchange = topology.PUBLISHED_ON[message_type]
        await self._publish(exchange, message, routing_key or message_type.routing_key, mandatory=durable)

    async def bury(self, queue: Queue, message: AbstractIncomingMessage, reason: str, detail: str) -> None:
        """Moves a delivery that cannot be handled to its queue's dead letters, with the reason, and acknowledges it.

        The copy is confirmed before the original is acknowledged: a crash in between duplicates, it does not lose.
        """
        log.error("bus.message.buried", queue=queue.name, reason=reason, detail=detail[:500])
        DEAD_LETTERS.labels(queue=queue.name, reason=reason).inc()
        if queue.kind is QueueKind.QUORUM:
            copy = aio_pika.Message(
                message.body,
                content_type=message.content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                type=message.type,
                message_id=message.message_id,
                headers={**message.headers, "x-reason": reason, "x-detail": detail[:500]},
            )
            try:
                await self._publish(Exchange.DEAD_LETTERS, copy, queue.name, mandatory=True)
            except BusUnavailableError as error:
                await self._give_back(queue, message, error)
                return
        await message.ack()

    async def _publish(
        self, exchange: Exchange, message: aio_pika.Message, routing_key: str, *, mandatory: bool
    ) -> None:
        try:
            await self._exchanges[exchange].publish(
                message, routing_key, mandatory=mandatory, timeout=_CONFIRM_TIMEOUT_SECONDS
            )
        except Exception as error:
            # aio-pika raises RuntimeError and others besides AMQPError when it publishes into a closing channel.
            raise BusUnavailableError(f"{routing_key} was not confirmed: {error!r}") from error

    def _subscribe(self, queue: Queue, handlers: Mapping[str, Handler]) -> None:
        async def deliver(message: RabbitMessage) -> None:
            await self._deliver(queue, handlers, message)

        self._broker.subscriber(
            _rabbit_queue(queue),
            _rabbit_exchange(queue.exchange),
            channel=Channel(prefetch_count=PREFETCH),
            ack_policy=AckPolicy.MANUAL,
            decoder=_undecoded,
        )(deliver)

    async def _deliver(self, queue: Queue, handlers: Mapping[str, Handler], message: RabbitMessage) -> None:
        try:
            handler, events = _decode(queue, handlers, message)
            await self._handle_patiently(queue, handler, events)
        except UndecodableMessageError as error:
            await self.bury(queue, message.raw_message, error.reason, str(error))
        except Exception as error:
            if is_operational(error):
                await self._give_back(queue, message.raw_message, error)
            else:
                log.exception("bus.message.crashed", queue=queue.name)
                await self.bury(queue, message.raw_message, "handler_crashed", repr(error))
        else:
            await message.ack()

    async def _handle_patiently(self, queue: Queue, handler: Handler, events: Sequence[CloudEvent[Any]]) -> None:
        """Tries again in place while a dependency is down, later and later.

        Giving the delivery back each time would count against its delivery limit, and an outage of a minute would put good
        messages among the dead. The patience is half of RabbitMQ's default `consumer_timeout`.
        """
        give_up_at, pause = time.monotonic() + _PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await handler(events)
            except Exception as error:
                if not is_operational(error) or self._closing.is_set() or time.monotonic() > give_up_at:
                    raise
                log.warning("bus.message.delayed", queue=queue.name, error=repr(error), pause_seconds=pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.5, 1.5)):  # noqa: S311  # jitter
                    await self._closing.wait()
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _give_back(self, queue: Queue, message: AbstractIncomingMessage, error: Exception) -> None:
        log.warning("bus.message.returned", queue=queue.name, error=repr(error))
        await asyncio.sleep(_PAUSE_BEFORE_RETURN_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        await message.nack(requeue=True)

    async def _declare_dead_letters(self, queue: Queue) -> None:
        dead = DeadLetterQueue(queue)
        declared = await self._broker.declare_queue(RabbitQueue(dead.name, queue_type=QueueType.QUORUM, durable=True))
        await declared.bind(self._exchanges[Exchange.DEAD_LETTERS], routing_key=queue.name)


async def _undecoded(message: RabbitMessage) -> RabbitMessage:
    """FastStream hands the handler what its decoder returns: here the delivery itself, with its ack and nack."""
    return message


def _decode(
    queue: Queue, handlers: Mapping[str, Handler], message: RabbitMessage
) -> tuple[Handler, Sequence[CloudEvent[Any]]]:
    raw = message.raw_message
    named = raw.type
    for message_type in queue.hears:
        # A foreign publisher may leave the type out; the routing key says the same where it is not a pattern.
        if named == message_type.event_type() or (named is None and raw.routing_key == message_type.routing_key):
            handler = handlers.get(message_type.event_type())
            if handler is not None:
                return handler, codec(message_type).decode(raw.body)
    raise UndecodableMessageError("unknown_type", f"type {named!r}, routing key {raw.routing_key!r}")


def _rabbit_exchange(exchange: Exchange) -> RabbitExchange:
    return RabbitExchange(exchange.value, type=ExchangeType.TOPIC, durable=True)


def _rabbit_queue(queue: Queue) -> RabbitQueue:
    arguments: Any = {key: value for key, value in queue.arguments.items() if key != "x-queue-type"}
    if queue.kind is QueueKind.QUORUM:
        return RabbitQueue(
            queue.name,
            queue_type=QueueType.QUORUM,
            durable=True,
            arguments=arguments,
            routing_key=queue.binding_keys[0],
        )
    exclusive = queue.kind is QueueKind.EXCLUSIVE
    return RabbitQueue(
        queue.name,
        durable=not exclusive,
        exclusive=exclusive,
        auto_delete=exclusive,
        arguments=arguments,
        routing_key=queue.binding_keys[0],
    )

"""A service's way to RabbitMQ: publishing with confirms, consuming with explicit outcomes, over connections that come and go."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from yarl import URL

from contracts import topology
from contracts.cloudevents import CONTENT_TYPE, CloudEvent, RejectedEvents, codec
from contracts.message import Message
from contracts.topology import Exchange, Queue
from service_kit.consumer import Consumer, give_back
from service_kit.crash_points import crash_point
from service_kit.dead_letters.letter import dead_letter, message_id_of
from service_kit.declare import Declarations
from service_kit.errors import BusUnavailableError, only_our_cancellation
from service_kit.find_handler import Handler
from service_kit.metrics import (
    BUS_CONNECTED,
    BUS_PUBLISH_SECONDS,
    DEAD_LETTERS,
    deliveries,
    published,
    queue_label,
)
from service_kit.session_keeper import SessionKeeper
from service_kit.tracing.message_spans import publishing

log = structlog.get_logger()

M = TypeVar("M", bound=Message)

_CONFIRM_TIMEOUT_SECONDS = 4.0
_PING_SECONDS = 1.5
_ANSWER_SECONDS = 10.0
"""So long deliveries under way may take to be answered when the service stops."""


class Bus:
    """Heals itself: whatever breaks, be it a connection, a channel, a consumer or a queue, it starts over from a new connection.

    While the broker cannot be reached it tries again, at most 5 s apart, and publishers are told after a second.
    """

    def __init__(
        self,
        url: str,
        *,
        service: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` is of use for an ``amqps://`` URL."""
        self._service = service
        self._stopping = asyncio.Event()
        self._consumers: dict[Queue, Consumer] = {}
        declarations = Declarations.of(service, URL(url).user)
        self._sessions = SessionKeeper(
            url, service=service, tls=tls, declarations=declarations, consumers=self._consumers
        )

    def on(
        self, queue: Queue, message_type: type[M]
    ) -> Callable[[Callable[[Sequence[CloudEvent[M]]], Awaitable[None]]], Handler]:
        """Decorates the handler of one message type on one queue. Handlers run concurrently, up to `PREFETCH` deliveries."""
        if message_type not in queue.hears:
            raise ValueError(f"{queue.name} does not hear {message_type.__name__}")
        consumer = self._consumers.setdefault(queue, Consumer(queue, self.settle, self._stopping))

        def register(handler: Callable[[Sequence[CloudEvent[M]]], Awaitable[None]]) -> Handler:
            consumer.handlers[message_type.event_type()] = handler
            return handler

        return register

    async def start(self) -> None:
        """Connects, declares what it is to declare, sees that every queue is there that hears this service, and starts consuming.
        Raises what keeps it from doing so.

        What is said before a consumer's first start must be kept for it: so others declare its queue too, or wait for it.
        """
        BUS_CONNECTED.set_function(lambda: self._sessions.whole_session is not None)
        await self._sessions.start()

    async def stop_consuming(self) -> None:
        """Takes no further deliveries, and answers those under way, for 10 s at most; publishing goes on. Idempotent."""
        self._stopping.set()
        self._sessions.stop_consuming()
        await asyncio.gather(*(consumer.stop(_ANSWER_SECONDS) for consumer in self._consumers.values()))

    async def stop(self) -> None:
        """Stops consuming, then closes the connection. What is not answered goes to another consumer. Idempotent."""
        await self.stop_consuming()
        await self._sessions.stop()

    # --- health ---

    async def ping(self) -> bool:
        """For readiness: everything is set up, and the broker answers, within 1.5 s."""
        if (session := self._sessions.whole_session) is None:
            return False
        try:
            async with session.question(within_seconds=_PING_SECONDS):
                return True
        except Exception:
            return False

    async def is_consuming(self) -> bool:
        """For liveness: every queue that should have our consumer has it. An unreachable broker is not our fault."""
        return await self._sessions.is_consuming()

    def connected_for(self) -> float:
        """Seconds since everything was set up, without a break; 0 while it is not."""
        session = self._sessions.whole_session
        return 0.0 if session is None or session.set_up_at is None else time.monotonic() - session.set_up_at

    @property
    def session_number(self) -> int | None:
        """Which connection of this process is in use, counted from 1; None while there is none."""
        return None if (session := self._sessions.session) is None else session.number

    # --- queues ---

    async def declare(self, queue: Queue) -> None:
        """Makes the queue with its bindings and, where it has one, its dead-letter queue; again after every reconnect."""
        await self._sessions.declare(queue)

    async def ensure_declared(self) -> None:
        """Everything that must be there before this service speaks, as at the start. Raises where something is not."""
        await self._sessions.ensure_declared()

    def add_intake(self, queue: Queue, opened: Callable[[AbstractQueue], None]) -> None:
        """Before `start`, for a consumer that starts and stops consuming by itself: calls `opened` with the queue, on a channel
        of its own, at start and after every reconnect. What was consumed or delivered before is gone with its connection.
        """
        self._sessions.add_intake(queue, opened)

    @asynccontextmanager
    async def question(self) -> AsyncIterator[AbstractChannel]:
        """A channel, for 5 s, for questions that may be refused: a refusal closes its channel, and publishing must not notice."""
        session = await self._sessions.current()
        async with session.question() as channel:
            yield channel

    async def ready_messages(self, *queues: Queue) -> int:
        """How many messages wait in the queues, not counting those that a consumer holds. Raises where one is missing."""
        async with self.question() as channel:
            asked = [await channel.declare_queue(queue.name, passive=True) for queue in queues]
            return sum(queue.declaration_result.message_count or 0 for queue in asked)

    # --- publishing ---

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
        key = routing_key or message_type.routing_key
        with publishing(message_type, events, key) as traced:
            message = aio_pika.Message(
                codec(message_type).encode(traced),
                content_type=CONTENT_TYPE,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT if durable else aio_pika.DeliveryMode.NOT_PERSISTENT,
                type=message_type.event_type(),
                message_id=events[0].id,
                app_id=self._service,
            )
            exchange = topology.PUBLISHED_ON[message_type]
            await self._publish(exchange, message, key, counted_as=message_type.event_type(), mandatory=durable)

    async def settle(
        self, queue: Queue, message: AbstractIncomingMessage, rejected: Sequence[RejectedEvents] = ()
    ) -> None:
        """Acknowledges a delivery, once what of it cannot be handled lies among its queue's dead letters, with the reason.

        The letters are confirmed before the delivery is acknowledged: a crash in between duplicates, it does not lose. Where
        they cannot be had confirmed, the delivery is given back. Queues whose senders repeat themselves keep no dead letters.
        """
        try:
            for part in rejected:
                await self._bury(queue, dead_letter(message, part), part)
                crash_point("bus.after_burying_before_ack")
        except BusUnavailableError as error:
            await give_back(queue, message, error, self._stopping)
        else:
            await message.ack()
            deliveries(queue_label(queue), "rejected" if rejected else "handled").inc()

    async def _bury(self, queue: Queue, letter: aio_pika.Message, rejected: RejectedEvents) -> None:
        kept = queue.keeps_dead_letters
        if kept:
            await self._publish(Exchange.DEAD_LETTERS, letter, queue.name, counted_as="dead_letter", mandatory=True)
        log.error(
            "bus.message.buried" if kept else "bus.message.dropped",
            queue=queue.name,
            message_id=message_id_of(letter),
            message_type=letter.type,
            reason=rejected.reason,
            detail=rejected.detail[:500],
        )
        DEAD_LETTERS.labels(queue=queue_label(queue), reason=rejected.reason).inc()

    async def _publish(
        self, exchange: Exchange, message: aio_pika.Message, routing_key: str, *, counted_as: str, mandatory: bool
    ) -> None:
        began = time.perf_counter()
        outcome = "failed"
        try:
            session = await self._sessions.current()
            with only_our_cancellation():
                await session.exchanges[exchange].publish(
                    message, routing_key, mandatory=mandatory, timeout=_CONFIRM_TIMEOUT_SECONDS
                )
            outcome = "confirmed" if mandatory else "sent"
        except BusUnavailableError:
            raise
        except Exception as error:
            self._sessions.look()
            # aio-pika raises RuntimeError and others besides AMQPError when it publishes into a closing channel.
            raise BusUnavailableError(f"{routing_key} was not confirmed: {error!r}") from error
        finally:
            published(counted_as, outcome).inc()
            if outcome == "confirmed":
                BUS_PUBLISH_SECONDS.observe(time.perf_counter() - began)

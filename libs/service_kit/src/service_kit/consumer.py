"""Takes the deliveries of one queue, and decides what becomes of each.

* handled → acknowledged;
* undecodable, or the handler hit a bug → published to its dead-letter queue with the reason, then acknowledged; of a batch,
  only the events it concerns;
* a dependency is down → tried again in place, later and later; given back when the service stops or patience ends.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import aiormq
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from structlog.contextvars import bind_contextvars

from contracts.cloudevents import CloudEvent, Codec, RejectedEvents, UndecodableMessageError, split
from contracts.topology import Queue
from service_kit.backoff import growing_pauses
from service_kit.errors import is_operational
from service_kit.find_handler import Handler, find_handler
from service_kit.logging.ids import ids_of
from service_kit.metrics import BUS_OLDEST_DELIVERY_SECONDS, deliveries, queue_label

log = structlog.get_logger()

Settle: TypeAlias = Callable[[Queue, AbstractIncomingMessage, Sequence[RejectedEvents]], Awaitable[None]]

PREFETCH = 100
_PAUSE_BEFORE_RETURN_SECONDS = 1.0
_PATIENCE_SECONDS = 900.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
"""Jobs wait for these deliveries: so long they go on waiting when an outage is over."""
_RPC_TIMEOUT_SECONDS = 2.0


class Consumer:
    """Handlers run concurrently, up to `PREFETCH` deliveries at a time.

    A handler is not cut off when the connection is: the delivery is handled to its end, and comes again all the same.
    """

    def __init__(self, queue: Queue, settle: Settle, stopping: asyncio.Event) -> None:
        self.queue = queue
        self.handlers: dict[str, Handler] = {}
        self._settle = settle
        self._stopping = stopping
        self._source: AbstractQueue | None = None
        self._tag = ""
        self._deliveries: dict[asyncio.Task[None], float] = {}
        """Those under way, oldest first, and since when by the monotonic clock."""

    async def attach(self, source: AbstractQueue) -> None:
        """Consumes from here on; what it consumed from before is gone."""
        label = queue_label(self.queue)
        BUS_OLDEST_DELIVERY_SECONDS.labels(queue=label).set_function(self._oldest_seconds)
        for outcome in ("handled", "rejected", "returned"):
            deliveries(label, outcome)  # from 0 on: else the first one of them would be no increase
        self._source = source
        self._tag = await source.consume(self._on_message)

    async def is_attached(self) -> bool:
        return self._source is not None and await consumes(self._source, self._tag)

    async def stop(self, timeout_seconds: float) -> None:
        """Takes nothing more, and returns when what is under way is answered. What is not by then comes again, to somebody."""
        if self._source is not None:
            with suppress(Exception):  # a channel that is gone delivers nothing either
                await self._source.cancel(self._tag, timeout=_RPC_TIMEOUT_SECONDS)
            self._source = None
        if self._deliveries:
            _, unfinished = await asyncio.wait(self._deliveries, timeout=timeout_seconds)
            for task in unfinished:
                task.cancel()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        # In a task of our own: aiormq cancels its own with the connection, wherever the handler is.
        task = asyncio.create_task(self._deliver(message))
        self._deliveries[task] = time.monotonic()
        task.add_done_callback(self._deliveries.pop)

    def _oldest_seconds(self) -> float:
        return time.monotonic() - next(iter(self._deliveries.values())) if self._deliveries else 0.0

    async def _deliver(self, message: AbstractIncomingMessage) -> None:
        try:
            await self._answer(message)
        except Exception as error:
            # Its channel is gone, so the broker delivers it again.
            log.warning("bus.message.unanswered", queue=self.queue.name, error=repr(error))

    async def _answer(self, message: AbstractIncomingMessage) -> None:
        try:
            message_codec, handler = find_handler(self.queue, self.handlers, message)
            bind_contextvars(queue=self.queue.name, message_type=message_codec.message_type.event_type())
            rejected = await self._handle_batch(message_codec, handler, message.body)
        except UndecodableMessageError as error:
            rejected = [RejectedEvents(message.body, error.reason, error.detail)]
        except Exception as error:
            await give_back(self.queue, message, error, self._stopping)
            return
        await self._settle(self.queue, message, rejected)

    async def _handle_batch(self, message_codec: Codec[Any], handler: Handler, body: bytes) -> list[RejectedEvents]:
        """What of the batch could not be handled. Raises what is operational.

        Its events are handled together and, should that fail, one by one: a poison event takes none of its neighbours with it.
        """
        try:
            events = message_codec.decode(body)
            bind_contextvars(**ids_of(events))
            await self._handle_patiently(handler, events)
        except UndecodableMessageError as error:
            poison = RejectedEvents(body, error.reason, error.detail)
        except Exception as error:
            if is_operational(error):
                raise
            log.exception("bus.handler.crashed", queue=self.queue.name)
            poison = RejectedEvents(body, "handler_crashed", repr(error))
        else:
            return []
        singles = split(body)
        if len(singles) < 2:
            return [poison]
        rejected = [part for event in singles for part in await self._handle_batch(message_codec, handler, event)]
        return rejected if len(rejected) < len(singles) else [poison]

    async def _handle_patiently(self, handler: Handler, events: Sequence[CloudEvent[Any]]) -> None:
        """Tries again in place while a dependency is down, later and later.

        Giving the delivery back each time would count against its delivery limit, and an outage of a minute would put good
        messages among the dead. The patience is half of RabbitMQ's default `consumer_timeout`.
        """
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        for pause_seconds in growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS):
            try:
                await handler(events)
            except Exception as error:
                if not is_operational(error) or self._stopping.is_set() or time.monotonic() > give_up_at:
                    raise
                log.warning(
                    "bus.message.delayed", queue=self.queue.name, error=repr(error), pause_seconds=pause_seconds
                )
            else:
                return
            await _pause(pause_seconds, self._stopping)


async def give_back(queue: Queue, message: AbstractIncomingMessage, error: Exception, stopping: asyncio.Event) -> None:
    """To the queue, for anybody; after a pause, so that it does not come back at once."""
    log.warning("bus.message.returned", queue=queue.name, error=repr(error))
    await _pause(_PAUSE_BEFORE_RETURN_SECONDS, stopping)
    await message.nack(requeue=True)
    deliveries(queue_label(queue), "returned").inc()


async def consumes(source: AbstractQueue, tag: str) -> bool:
    """Whether this consumer is there, as far as this side of the connection knows."""
    if source.channel.is_closed:
        return False
    channel = await source.channel.get_underlay_channel()
    return isinstance(channel, aiormq.Channel) and tag in channel.consumers


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()

"""The stream over plain AMQP 0.9.1: no plugin, no other port, and any client library can do the same."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused

from analytics.rows import Delivery
from analytics.starting_point import Edge, StartingPoint
from contracts.topology import ANALYTICS_EVENTS
from service_kit.bus_session import Session
from service_kit.errors import OperationalError

_PREFETCH = 200
"""Messages on their way to us. A stream demands a limit, and takes an acknowledgement for nothing but leave to send one more."""
_PROBE_SECONDS = 10.0


class StreamUnavailableError(OperationalError):
    """The stream cannot be read now."""


class Subscription:
    """Messages of the stream, in its order, for as long as its session lasts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._inbox: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()

    async def attach(self, start: StartingPoint, channel: AbstractChannel | None = None) -> None:
        """Begins to deliver. Raises `StreamUnavailableError` where there is no such stream, or it may not be read."""
        channel = channel or await self._session.channel(prefetch=_PREFETCH)
        queue = await channel.get_queue(ANALYTICS_EVENTS.name, ensure=False)
        arguments: dict[str, Any] = {"x-stream-offset": start.value if isinstance(start, Edge) else start}
        try:
            await queue.consume(self._receive, arguments=arguments)
        except ChannelNotFoundEntity:
            raise StreamUnavailableError(
                f"there is no stream {ANALYTICS_EVENTS.name} on this broker yet: the orchestrator makes it when it starts"
            ) from None
        except ChannelAccessRefused as error:
            raise StreamUnavailableError(f"the user may not read {ANALYTICS_EVENTS.name}: {error}") from None

    async def next(self, within_seconds: float) -> Delivery | None:
        """The next message, or None where none came in time. Raises `StreamUnavailableError` once the session is lost."""
        try:
            message = self._inbox.get_nowait()
        except asyncio.QueueEmpty:
            if self._session.lost.is_set():
                raise StreamUnavailableError("the connection was lost") from None
            message = await self._wait(within_seconds)
        if message is None:
            return None
        await message.ack()
        offset = message.headers["x-stream-offset"]
        assert isinstance(offset, int)
        return Delivery(message.body, message.content_type, offset, datetime.now(UTC))

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        # aio-pika makes a task of every delivery: the order is kept because nothing is awaited here.
        self._inbox.put_nowait(message)

    async def _wait(self, seconds: float) -> AbstractIncomingMessage | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._inbox.get()
        return None


@asynccontextmanager
async def open_session(url: str, number: int, *, tls: ssl.SSLContext | None) -> AsyncIterator[Session]:
    session = await Session.open(url, service="analytics", number=number, tls=tls)
    try:
        yield session
    finally:
        session.lost.set()  # by our own will: nothing to warn of
        await session.close()


async def first_offset(session: Session) -> int | None:
    """The offset of the oldest message that is kept; None for an empty stream."""
    async with session.question(within_seconds=2 * _PROBE_SECONDS) as channel:  # with which the consumer goes
        await channel.set_qos(prefetch_count=1)
        probe = Subscription(session)
        await probe.attach(Edge.FIRST, channel)
        first = await probe.next(_PROBE_SECONDS)
    return None if first is None else first.offset

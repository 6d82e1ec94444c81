"""One connection to RabbitMQ, from its making until something on it breaks."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from yarl import URL

from contracts.topology import Exchange
from service_kit.errors import only_our_cancellation

log = structlog.get_logger()

_CONNECT_TIMEOUT_SECONDS = 5.0
_CLOSE_TIMEOUT_SECONDS = 3.0
_QUESTION_TIMEOUT_SECONDS = 5.0
_HEARTBEAT_SECONDS = 10
"""Both sides end a connection on which nothing came for two or three of these. With the default of a minute, a worker behind a
cable that was cut would be unheard for three, and what it had not acknowledged locked up for two."""


class Session:
    """Nothing on it is mended: whoever finds it broken gives it up, and the bus makes another from the ground up.

    So there is one way to begin, at start as after an outage: connect, declare everything, and only then publish and consume.
    aio-pika's robust connections restore channel by channel while publishers are already let in. On a broker that came back
    empty they publish to exchanges that are not there yet, which closes the channel that was about to declare them.
    """

    def __init__(self, connection: AbstractConnection, number: int) -> None:
        self.number = number
        """Counts the connections of this process."""
        self.lost = asyncio.Event()
        self.set_up_at: float | None = None
        """When everything was declared and every consumer attached, by the monotonic clock."""
        self.exchanges: dict[Exchange, AbstractExchange] = {}
        self._connection = connection
        connection.close_callbacks.add(self._on_closed)

    @classmethod
    async def open(cls, url: str, *, service: str, number: int, tls: ssl.SSLContext | None) -> "Session":
        """Connects. Raises whatever keeps it from doing so, a `TimeoutError` after 5 s."""
        heartbeat = URL(url).query.get("heartbeat", _HEARTBEAT_SECONDS)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                connection = await aio_pika.connect(
                    url,
                    ssl_context=tls,
                    heartbeat=heartbeat,
                    client_properties={"connection_name": f"{service}.{number}"},
                )
        except StopAsyncIteration as error:  # how aiormq says that its reader met the end of the stream
            raise ConnectionResetError("the broker closed the connection before it was open") from error
        return cls(connection, number)

    async def channel(self, *, prefetch: int = 0) -> AbstractChannel:
        """A channel whose end, or whose consumer's end by the broker's will, is the end of the session."""
        channel = self._connection.channel(on_return_raises=True)
        await channel.initialize()
        if prefetch:
            await channel.set_qos(prefetch_count=prefetch)
        underlay = await channel.get_underlay_channel()
        assert isinstance(underlay, aiormq.Channel)
        underlay.on_consumer_cancel_callbacks.add(self._on_consumer_cancelled)
        channel.close_callbacks.add(self._on_closed)
        return channel

    @asynccontextmanager
    async def question(self, *, within_seconds: float = _QUESTION_TIMEOUT_SECONDS) -> AsyncIterator[AbstractChannel]:
        """A channel for what may be refused: a refusal closes its channel, and nobody else must notice."""
        with only_our_cancellation():
            async with asyncio.timeout(within_seconds), self._connection.channel() as channel:
                yield channel

    async def is_blocked(self) -> bool:
        """Whether the broker takes nothing from us for now because it runs out of memory or disk. To reconnect would not help."""
        transport = self._connection.transport
        if transport is None or transport.connection.is_closed:
            return False
        try:
            async with asyncio.timeout(0):
                await transport.ready()
        except TimeoutError:
            return True
        return False

    def give_up(self, reason: str) -> None:
        if not self.lost.is_set():
            log.warning("bus.session.lost", reason=reason, session=self.number)
            self.lost.set()

    async def close(self) -> None:
        """Ends the connection. One that does not answer is left behind; its own heartbeat ends it."""
        closing = asyncio.create_task(self._connection.close())
        await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT_SECONDS)

    def _on_closed(self, _: object, error: BaseException | None = None) -> None:
        self.give_up(f"closed: {error!r}")

    def _on_consumer_cancelled(self, frame: Any) -> None:
        self.give_up(f"the broker cancelled consumer {frame.consumer_tag}")

"""An independent subscriber: hears every job event on a durable queue of its own, and repeats some of what it overhears.

It is nobody's service: bare aio-pika, no code of ours but the topology. What it repeats is late and double, which a bus that
delivers at least once may do to anybody at any time.
"""

import asyncio
import hashlib
import json
import random
from contextlib import suppress
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from history import DeadLetter, Heard

from contracts.jobs import JOB_EVENTS, JobCancelRequested, JobRequested
from contracts.topology import Exchange

_REPEATED_SHARE = 0.05
_LATEST_REPEAT_SECONDS = 12.0
_MARK = "x-repeated-by-witness"
_RECONNECT_SECONDS = 0.2


class Witness:
    """Listens within its `async with`, through every loss of the connection and of the broker's memory."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._draw = random.Random(seed)
        self.heard: list[Heard] = []
        self.dead_letters: list[DeadLetter] = []
        self.repeated = 0
        self.repeats = True
        """Whether it repeats what it hears of requests, tasks and reports."""
        self.listening = asyncio.Event()
        """Set while its queues are declared and consumed."""
        self._channel: AbstractChannel | None = None
        self._task: asyncio.Task[None] | None = None
        self._repeating: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Witness":
        self._task = asyncio.create_task(self._listen())
        await self.listening.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._task, *self._repeating):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _listen(self) -> None:
        while True:
            with suppress(OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError):
                await self._listen_once()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        """Until the connection is lost."""
        connection = await aio_pika.connect(self._url, timeout=5)
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        try:
            await self._consume(connection)
            self.listening.set()
            await lost.wait()
        finally:
            self.listening.clear()
            self._channel = None
            await connection.close()

    async def _consume(self, connection: aio_pika.abc.AbstractConnection) -> None:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=200)
        exchanges = {
            exchange: await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
            for exchange in Exchange
        }
        events = await channel.declare_queue("chaos.witness", durable=True)
        for event in JOB_EVENTS:
            await events.bind(exchanges[Exchange.JOBS], event.routing_key)
        tap = await channel.declare_queue("chaos.tap", durable=True)
        for request in (JobRequested, JobCancelRequested):
            await tap.bind(exchanges[Exchange.JOBS], request.routing_key)
        await tap.bind(exchanges[Exchange.GPU], "attempt.#")
        dead = await channel.declare_queue("chaos.dead-letters", durable=True)
        await dead.bind(exchanges[Exchange.DEAD_LETTERS], "#")
        await events.consume(self._hear)
        await tap.consume(self._overhear)
        await dead.consume(self._find_dead)
        self._channel = channel

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        for event in json.loads(message.body):
            data = event["data"]
            self.heard.append(Heard(data["job_id"], data["seq"], digest(data)))
        await message.ack()

    async def _find_dead(self, message: AbstractIncomingMessage) -> None:
        # Ours say why in their own words; the broker's own only which limit was reached.
        named = (message.headers.get(name) for name in ("x-reason", "x-detail", "x-first-death-reason"))
        why = ", ".join(str(value) for value in named if value is not None)
        body = message.body.decode(errors="replace")
        letter = DeadLetter(str(message.routing_key), why, str(message.type), body)
        self.dead_letters.append(letter)
        await message.ack()

    async def _overhear(self, message: AbstractIncomingMessage) -> None:
        if self.repeats and _MARK not in message.headers and self._draw.random() < _REPEATED_SHARE:
            task = asyncio.create_task(self._repeat(message, self._draw.uniform(0, _LATEST_REPEAT_SECONDS)))
            self._repeating.add(task)
            task.add_done_callback(self._repeating.discard)
        await message.ack()

    async def _repeat(self, message: AbstractIncomingMessage, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        copy = aio_pika.Message(
            message.body,
            content_type=message.content_type,
            delivery_mode=message.delivery_mode,
            type=message.type,
            message_id=message.message_id,
            app_id=message.app_id,
            headers={**message.headers, _MARK: 1},
        )
        if self._channel is not None and message.exchange is not None and message.routing_key is not None:
            with suppress(OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError):
                exchange = await self._channel.get_exchange(message.exchange, ensure=False)
                await exchange.publish(copy, message.routing_key, mandatory=False, timeout=5)
                self.repeated += 1


def digest(data: dict[str, Any]) -> str:
    """The same for two JSON texts that say the same. A field that is None may as well be left out."""
    return hashlib.sha256(json.dumps(_without_none(data), sort_keys=True).encode()).hexdigest()[:16]


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value

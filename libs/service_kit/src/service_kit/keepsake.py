"""Notices that a broker has lost what it held: a node that was reset, a disk that was replaced, a virtual host made anew."""

import asyncio

import aio_pika

from contracts.topology import Keepsake
from service_kit.bus import Bus

_LOOK_AGAIN_SECONDS = 1.0


class BrokerMemory:
    """One message, left in a queue of its own, that nobody consumes. A broker without it has forgotten the others too.

    All methods raise operational errors while the broker cannot be asked: not to know is not to have lost.
    """

    def __init__(self, bus: Bus, keepsake: Keepsake) -> None:
        self._bus = bus
        self._keepsake = keepsake

    async def is_intact(self) -> bool:
        """Whether the keepsake is still there. If not, it is looked for twice: another replica may just have it in its hands."""
        if await self._is_there():
            return True
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return await self._is_there()

    async def _is_there(self) -> bool:
        async with self._bus.question() as channel:
            queue = await self._declare(channel)
            if queue.declaration_result.message_count:
                return True
            # A quorum queue between two leaders counts nothing at all; asked for the message itself, it says the truth or fails.
            message = await queue.get(fail=False)
            if message is not None:
                await message.nack(requeue=True)
            return message is not None

    async def leave(self) -> None:
        """Puts a keepsake down; returning means that the broker has it."""
        async with self._bus.question() as channel:
            await self._declare(channel)
            message = aio_pika.Message(b"", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            exchange = await channel.get_exchange(self._keepsake.exchange.value, ensure=False)
            await exchange.publish(message, self._keepsake.name)

    async def _declare(self, channel: aio_pika.abc.AbstractChannel) -> aio_pika.abc.AbstractQueue:
        queue = await channel.declare_queue(self._keepsake.name, durable=True, arguments=dict(self._keepsake.arguments))
        await queue.bind(self._keepsake.exchange.value, routing_key=self._keepsake.name)
        return queue

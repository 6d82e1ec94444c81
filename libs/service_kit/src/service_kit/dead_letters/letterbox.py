"""One dead-letter queue, looked into and emptied by a person.

RabbitMQ has no way to look at a message without taking it. So letters are taken without being acknowledged and then put back,
one by one and in order; the queue puts them where they were (see `contracts.topology.DeadLetterQueue`). Should this process die
in between, RabbitMQ puts them back.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError

from contracts.topology import dead_letter_queue_name
from service_kit.crash_points import crash_point
from service_kit.dead_letters.letter import DeadLetter, message_again, message_id_of

Choice: TypeAlias = Callable[[str], bool]
"""Which letters are meant, by their ids."""

_CONFIRM_TIMEOUT_SECONDS = 10.0


class NoLetterboxError(LookupError):
    """The broker has no such dead-letter queue."""


class NotAcceptedError(Exception):
    """The queue a letter came from is gone or full, and did not take it back. The letter is still where it was."""


@dataclass(frozen=True, slots=True)
class Contents:
    letters: list[DeadLetter]
    """The oldest, in order."""
    total: int
    """How many there are, not counting what somebody else holds at this moment."""


class Letterbox:
    """The dead letters of one queue, `source`. Each method deals with those that are there when it is called."""

    def __init__(self, source: str, channel: AbstractChannel, queue: AbstractQueue) -> None:
        self.source = source
        self._channel = channel
        self._queue = queue

    async def look(self, limit: int) -> Contents:
        """The first letters, at most `limit`; all stay where they are."""
        letters: list[DeadLetter] = []
        total = 0
        async with self._put_back_in_the_end() as taken:
            async for message in self._take_each():
                total = total or 1 + (message.message_count or 0)
                taken.append(message)
                if len(letters) < limit:
                    letters.append(DeadLetter.read(message))
                # The queue hands out first what was put back before, and puts back behind that: only whoever takes all of it
                # keeps the order.
                if len(letters) == limit and not message.redelivered:
                    break
        return Contents(letters, total)

    async def requeue(self, chosen: Choice) -> int:
        """Sends the chosen letters back to the queue they fell out of; says how many.

        Each is confirmed there before it is taken out here: what fails in between duplicates, it does not lose. One that is still
        poison comes back as a new letter, which is left alone. Raises `NotAcceptedError`.
        """
        return await self._take_out(chosen, self._send_back)

    async def discard(self, chosen: Choice) -> int:
        """Takes the chosen letters out for good; says how many."""
        return await self._take_out(chosen, _forget)

    async def _take_out(self, chosen: Choice, dispose: Callable[[AbstractIncomingMessage], Awaitable[None]]) -> int:
        count = 0
        async with self._put_back_in_the_end() as taken:
            async for message in self._take_each():
                taken.append(message)
                if chosen(message_id_of(message)):
                    await dispose(message)
                    await taken.pop().ack()
                    count += 1
        return count

    async def _take_each(self) -> AsyncIterator[AbstractIncomingMessage]:
        message = await self._queue.get(fail=False)
        left = 0 if message is None else message.message_count or 0
        while message is not None:
            yield message
            message = await self._queue.get(fail=False) if left > 0 else None
            left -= 1

    @asynccontextmanager
    async def _put_back_in_the_end(self) -> AsyncIterator[list[AbstractIncomingMessage]]:
        taken: list[AbstractIncomingMessage] = []
        try:
            yield taken
        finally:
            for message in taken:
                await message.nack(requeue=True)

    async def _send_back(self, letter: AbstractIncomingMessage) -> None:
        try:
            await self._channel.default_exchange.publish(
                message_again(letter), self.source, mandatory=True, timeout=_CONFIRM_TIMEOUT_SECONDS
            )
        except DeliveryError as error:
            raise NotAcceptedError(self.source) from error
        crash_point("dead_letters.after_publish_before_ack")


async def _forget(_letter: AbstractIncomingMessage) -> None:
    return None


@asynccontextmanager
async def open_letterbox(connection: AbstractConnection, source: str) -> AsyncIterator[Letterbox]:
    """The dead letters of the queue `source`, on a channel of their own. Raises `NoLetterboxError`."""
    async with connection.channel(publisher_confirms=True, on_return_raises=True) as channel:
        try:
            queue = await channel.declare_queue(dead_letter_queue_name(source), passive=True)
        except ChannelNotFoundEntity:
            raise NoLetterboxError(source) from None
        yield Letterbox(source, channel, queue)

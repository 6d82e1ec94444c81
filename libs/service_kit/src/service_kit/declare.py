"""Puts exchanges, queues and bindings on the broker. Idempotent; what is there already must have the same arguments."""

from dataclasses import dataclass

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from contracts import topology
from contracts.permissions import must_be_there_for, username_of
from contracts.topology import DeadLetterQueue, Exchange, Queue, QueueKind
from service_kit.errors import OperationalError


class NotDeclaredYetError(OperationalError):
    """Something is missing on the broker that another service makes: start that service, or load the broker's definitions."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """What must be on the broker before a service speaks, and which part of it is the service's own to make."""

    makes_exchanges: bool
    made: tuple[Queue, ...]
    """Queues with fixed names, with their bindings and dead-letter queues."""
    expected: tuple[Queue, ...]
    """Queues of others that hear what the service says. Bindings cannot be asked for: who makes a queue also binds it."""

    @classmethod
    def of(cls, service: str, username: str | None) -> "Declarations":
        """A service that is logged in as its own user may make its own queues only; as any other, it makes everything, so that
        a broker on which nobody has prepared anything will do."""
        if username != username_of(service):
            return cls(makes_exchanges=True, made=topology.SHARED_QUEUES, expected=())
        own = tuple(queue for queue in topology.SHARED_QUEUES if queue.owner == service)
        return cls(makes_exchanges=service == topology.EXCHANGES_OWNER, made=own, expected=must_be_there_for(service))

    async def ensure(self, channel: AbstractChannel, *, only_look: bool = False) -> None:
        """Makes the service's own, then looks for the rest: in this order, for two services may wait for each other's.

        With `only_look` it makes no queue. Raises `NotDeclaredYetError`, and closes the channel, where something is missing that
        is not made here; what is not as it should be raises as in AMQP.
        """
        for exchange in Exchange:
            await _declare_exchange(channel, exchange, passive=not self.makes_exchanges)
        for queue in self.made:
            await declare_queue(channel, queue, passive=only_look)
        for queue in self.expected:
            try:
                await channel.declare_queue(queue.name, passive=True)
            except ChannelNotFoundEntity:
                raise NotDeclaredYetError(
                    f"the queue {queue.name}, which {queue.owner} makes, is not there yet"
                ) from None


async def _declare_exchange(channel: AbstractChannel, exchange: Exchange, *, passive: bool) -> None:
    try:
        await channel.declare_exchange(exchange.value, ExchangeType.TOPIC, durable=True, passive=passive)
    except ChannelNotFoundEntity:
        maker = topology.EXCHANGES_OWNER
        raise NotDeclaredYetError(f"the exchange {exchange}, which {maker} makes, is not there yet") from None


async def declare_queue(
    channel: AbstractChannel, queue: Queue, *, name: str | None = None, passive: bool = False
) -> AbstractQueue:
    """The queue with its bindings and, where it has one, its dead-letter queue. The exchanges must be there.

    Passive: raises where a queue is missing, and closes the channel, as AMQP has it.
    """
    if queue.keeps_dead_letters:
        # First: the queue itself must never be without a place for what falls out of it.
        await _declare_dead_letters(channel, DeadLetterQueue(queue), passive=passive)
    exclusive = queue.kind is QueueKind.EXCLUSIVE
    declared = await channel.declare_queue(
        name or queue.name,
        durable=not exclusive,
        exclusive=exclusive,
        auto_delete=exclusive,
        arguments=dict(queue.arguments),
        passive=passive,
    )
    for key in queue.binding_keys:
        await declared.bind(queue.exchange.value, routing_key=key)
    return declared


async def _declare_dead_letters(channel: AbstractChannel, dead: DeadLetterQueue, *, passive: bool) -> None:
    declared = await channel.declare_queue(dead.name, durable=True, arguments=dict(dead.arguments), passive=passive)
    await declared.bind(Exchange.DEAD_LETTERS.value, routing_key=dead.source.name)

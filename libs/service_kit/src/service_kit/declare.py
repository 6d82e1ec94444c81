"""Puts exchanges, queues and bindings on the broker. Idempotent; what is there already must have the same arguments."""

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue

from contracts.topology import DeadLetterQueue, Exchange, Queue, QueueKind


async def declare_exchanges(channel: AbstractChannel) -> None:
    for exchange in Exchange:
        await channel.declare_exchange(exchange.value, ExchangeType.TOPIC, durable=True)


async def declare_queue(
    channel: AbstractChannel, queue: Queue, *, name: str | None = None, passive: bool = False
) -> AbstractQueue:
    """The queue with its bindings and, where it has one, its dead-letter queue. The exchanges must be there.

    Passive: raises where a queue is missing, and closes the channel, as AMQP has it.
    """
    if queue.dead_letters and queue.kind is QueueKind.QUORUM:
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

"""Which of a queue's handlers a message is for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from aio_pika.abc import AbstractIncomingMessage

from contracts.cloudevents import (
    CloudEvent,
    Codec,
    UndecodableMessageError,
    attribute_of_first,
    check_content_type,
    codec,
    unexpected_type,
)
from contracts.topology import Queue

Handler: TypeAlias = Callable[[Sequence[CloudEvent[Any]]], Awaitable[None]]


def find_handler(
    queue: Queue, handlers: Mapping[str, Handler], message: AbstractIncomingMessage
) -> tuple[Codec[Any], Handler]:
    """The handler of the message's type, with the codec that reads it; raises `UndecodableMessageError` if there is none.

    A foreign publisher may leave the type to its events.
    """
    check_routing(queue, message)
    named = message.type or attribute_of_first(message.body, "type")
    for message_type in queue.hears:
        if named == message_type.event_type() and (handler := handlers.get(named)) is not None:
            check_content_type(message.content_type)
            return codec(message_type), handler
    raise unexpected_type(named, [heard for heard in queue.hears if heard.event_type() in handlers])


def check_routing(queue: Queue, message: AbstractIncomingMessage) -> None:
    """Raises `UndecodableMessageError` for a message that came by another key than the queue's own.

    Before RabbitMQ 3.13 who may publish under one key of an exchange reaches all of them, by the headers `CC` and `BCC`, on which
    no permission is asked for. The key itself is. By the default exchange comes what the operator sends back.
    """
    if message.exchange and message.routing_key not in queue.binding_keys:
        raise UndecodableMessageError("wrong_routing_key", f"{message.routing_key!r} is not for {queue.name}")

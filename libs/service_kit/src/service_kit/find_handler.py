"""Which of a queue's handlers a message is for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from aio_pika.abc import AbstractIncomingMessage

from contracts.cloudevents import CloudEvent, Codec, attribute_of_first, check_content_type, codec, unexpected_type
from contracts.topology import Queue

Handler: TypeAlias = Callable[[Sequence[CloudEvent[Any]]], Awaitable[None]]


def find_handler(
    queue: Queue, handlers: Mapping[str, Handler], message: AbstractIncomingMessage
) -> tuple[Codec[Any], Handler]:
    """The handler of the message's type, with the codec that reads it; raises `UndecodableMessageError` if there is none.

    A foreign publisher may leave the type to its events.
    """
    named = message.type or attribute_of_first(message.body, "type")
    for message_type in queue.hears:
        if named == message_type.event_type() and (handler := handlers.get(named)) is not None:
            check_content_type(message.content_type)
            return codec(message_type), handler
    raise unexpected_type(named, [heard for heard in queue.hears if heard.event_type() in handlers])

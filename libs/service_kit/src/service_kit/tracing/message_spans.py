"""Spans of what is said and heard on the bus, a message at a time.

Names and attributes by OpenTelemetry's conventions for messaging and for RabbitMQ (semantic conventions 1.41, in development:
https://opentelemetry.io/docs/specs/semconv/messaging/rabbitmq/). A message is an event; the batch it travels in is told by its
size and by the id that all of it share.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, TypeVar

from contracts.cloudevents import CloudEvent
from contracts.message import Message
from contracts.topology import PUBLISHED_ON, Queue, QueueKind
from service_kit.tracing.context import child_of, traceparent
from service_kit.tracing.spans import Attributes, Kind, Operation, Value, is_traced, record

M = TypeVar("M", bound=Message)


@contextmanager
def publishing(
    message_type: type[M], events: Sequence[CloudEvent[M]], routing_key: str
) -> Iterator[Sequence[CloudEvent[M]]]:
    """Around the publication of one AMQP message. The events to publish: each names its own publication as its cause.

    What goes wrong is noted by its type, and goes on. Events of traces that are not sampled stay as they are.
    """
    parents = [(event.traceparent if is_traced(event.traceparent) else None) for event in events]
    if not any(parents):
        yield events
        return
    operation = publication(message_type, routing_key)
    contexts = [parent and child_of(parent) for parent in parents]
    began_ns, error = time.time_ns(), None
    try:
        yield [
            event if context is None else event.model_copy(update={"traceparent": context})
            for event, context in zip(events, contexts, strict=True)
        ]
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        ended_ns = time.time_ns()
        for event, parent, context in zip(events, parents, contexts, strict=True):
            if context is not None:
                attributes = about(event, batch=events)
                record(
                    operation,
                    context,
                    parent,
                    started_ns=began_ns,
                    ended_ns=ended_ns,
                    attributes=attributes,
                    error=error,
                )


@contextmanager
def processing(queue: Queue, events: Sequence[CloudEvent[Any]]) -> Iterator[Sequence[str | None]]:
    """Around the handling of one delivery. The trace context of the handling of each event, in order.

    What is done within belongs to the event's trace if there is but one; where there are more, each has to be told whose it is.
    """
    parents = [event.traceparent for event in events]
    contexts = [child_of(parent) if is_traced(parent) else parent for parent in parents]
    before = traceparent.set(contexts[0] if len(contexts) == 1 else None)
    began_ns, error = time.time_ns(), None
    try:
        yield contexts
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        traceparent.reset(before)
        ended_ns = time.time_ns()
        for event, parent, context in zip(events, parents, contexts, strict=True):
            if is_traced(context):
                message_type: type[Message] = type(event.data)
                record(
                    consumption(queue, message_type),
                    context,
                    parent,
                    started_ns=began_ns,
                    ended_ns=ended_ns,
                    attributes=about(event, batch=events),
                    error=error,
                )


def about(event: CloudEvent[Any], *, batch: Sequence[CloudEvent[Any]]) -> Attributes:
    """What tells one message from another: ids only, nothing of what somebody has typed. A report's begins with its attempt's."""
    attributes: dict[str, Value] = {"messaging.message.id": event.id}
    if event.subject is not None:
        attributes["p3d.job.id"] = event.subject
    if len(batch) > 1:
        attributes["messaging.batch.message_count"] = len(batch)
        attributes["p3d.batch.id"] = batch[0].id
    return attributes


@lru_cache(maxsize=1000)  # a worker's control key is its own, and workers come and go
def publication(message_type: type[Message], routing_key: str) -> Operation:
    exchange = PUBLISHED_ON[message_type]
    return _operation(
        "publish",
        Kind.PRODUCER,
        "send",
        routing_key,
        name=f"{exchange}:{routing_key}",
        template=f"{exchange}:{message_type.routing_key}",
    )


@cache
def consumption(queue: Queue, message_type: type[Message]) -> Operation:
    shared = queue.kind is not QueueKind.EXCLUSIVE
    key = queue.keys[0] if len(queue.keys) == 1 else message_type.routing_key
    low_key, low_name = (key, queue.name) if shared else (message_type.routing_key, ".".join(queue.name.split(".")[:2]))
    return _operation(
        "process",
        Kind.CONSUMER,
        "process",
        key,
        name=f"{queue.exchange}:{key}:{queue.name}",
        template=f"{queue.exchange}:{low_key}:{low_name}",
    )


def _operation(verb: str, kind: Kind, type_: str, routing_key: str, *, name: str, template: str) -> Operation:
    """`template` is the name without what only one process has: names of spans are to be few."""
    attributes: dict[str, Value] = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": verb,
        "messaging.operation.type": type_,
        "messaging.destination.name": name,
        "messaging.rabbitmq.destination.routing_key": routing_key,
    }
    if template != name:
        attributes["messaging.destination.template"] = template
    return Operation(f"{verb} {template}", kind, attributes)

"""The bus as an AsyncAPI 3.0 document, made from the messages and the topology themselves.

FastStream can write such a document too, but without exchanges, queue types and dead-letter settings, and with one service's
view only. https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from contracts import topology
from contracts.cloudevents import CONTENT_TYPE, codec
from contracts.message import Message
from contracts.topology import DeadLetterQueue, Exchange, Queue, QueueKind

_SCHEMAS = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The whole document, free of credentials and of anything that differs between two installations."""
    messages = list(topology.PUBLISHED_ON)
    _, schemas = models_json_schema(
        [(codec(message).envelope, "serialization") for message in messages], ref_template=_SCHEMAS
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pipeline 3D bus",
            "version": "1",
            "description": "Every AMQP message is a CloudEvents 1.0 JSON batch: an array of events of one type.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {message.routing_key: _channel(message) for message in messages},
        "operations": dict(operation for message in messages for operation in _operations(message)),
        "components": {
            "messages": {message.__name__: _message(message) for message in messages},
            "schemas": schemas["$defs"],
        },
    }


def _channel(message: type[Message]) -> dict[str, Any]:
    exchange = topology.PUBLISHED_ON[message]
    return {
        "address": _address(message),
        "messages": {message.__name__: {"$ref": f"#/components/messages/{message.__name__}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange.value, "type": "topic", "durable": True, "autoDelete": False},
            }
        },
    }


def _address(message: type[Message]) -> str:
    """The routing key; a command to somebody in particular ends in who it is."""
    heard = next(queue for queue in topology.QUEUES if message in queue.hears)
    return heard.keys[0] if heard.keys else message.routing_key


def _message(message: type[Message]) -> dict[str, Any]:
    schema = TypeAdapter(codec(message).envelope).json_schema(ref_template=_SCHEMAS)
    return {
        "name": message.event_type(),
        "summary": (message.__doc__ or "").strip().split("\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": {"type": "array", "items": {"$ref": _SCHEMAS.format(model=schema["title"].translate(_REF))}},
    }


_REF = str.maketrans({"[": "_", "]": "_"})


def _operations(message: type[Message]) -> list[tuple[str, dict[str, Any]]]:
    channel = {"$ref": f"#/channels/{message.routing_key}"}
    publisher = topology.PUBLISHED_BY[message]
    operations: list[tuple[str, dict[str, Any]]] = [
        (f"{publisher}.sends.{message.routing_key}", {"action": "send", "channel": channel})
    ]
    for queue in topology.QUEUES:
        if message in queue.hears:
            consumer = queue.name.split(".")[0]
            receive = {"action": "receive", "channel": channel, "x-queue": _queue(queue)}
            operations.append((f"{consumer}.receives.{message.routing_key}", receive))
    return operations


def _queue(queue: Queue) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": queue.name,
        "durable": queue.kind is not QueueKind.EXCLUSIVE,
        "exclusive": queue.kind is QueueKind.EXCLUSIVE,
        "arguments": queue.arguments,
    }
    if queue.keeps_dead_letters:
        described["deadLetters"] = {"exchange": Exchange.DEAD_LETTERS.value, "queue": DeadLetterQueue(queue).name}
    return described

"""A message that could not be handled, as it lies on a dead-letter queue: how it is written, read, and made a message again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractMessage

from contracts.cloudevents import RejectedEvents, attribute_of_first

_REASON, _DETAIL, _DIED_AT = "x-reason", "x-detail", "x-died-at"
_EXCHANGE, _ROUTING_KEY = "x-exchange", "x-routing-key"
_MAX_DETAIL_LENGTH = 500

_OF_A_DEATH = (_REASON, _DETAIL, _DIED_AT, "x-death", "x-delivery-count", "x-acquired-count")
"""Ours, and RabbitMQ's own. Besides, it names the first and the last death in headers of their own."""
_OF_A_DEATH_PREFIXES = ("x-first-death-", "x-last-death-")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as a person wants to see it."""

    id: str
    """The message's own; a message without one is named by its content."""
    type: str | None
    reason: str
    """Ours, such as `unknown_version`, or RabbitMQ's: `delivery_limit` if every delivery of it was given back."""
    detail: str
    died_at: datetime | None
    exchange: str | None
    """Where it was first published; with the routing key."""
    routing_key: str | None
    body: bytes

    @classmethod
    def read(cls, message: AbstractIncomingMessage) -> "DeadLetter":
        """Never fails: what a header does not say, or says in an unexpected way, stays open."""
        headers = message.headers
        death = _last_death(headers)
        routing_keys = death.get("routing-keys")
        return cls(
            id=message_id_of(message),
            type=message.type,
            reason=_text(headers.get(_REASON)) or _text(death.get("reason")) or "unknown",
            detail=_text(headers.get(_DETAIL)) or "",
            died_at=_moment(headers.get(_DIED_AT)) or _moment(death.get("time")),
            exchange=_text(headers.get(_EXCHANGE, death.get("exchange"))),
            routing_key=_text(headers.get(_ROUTING_KEY, routing_keys[0] if isinstance(routing_keys, list) else None)),
            body=message.body,
        )


def dead_letter(message: AbstractIncomingMessage, rejected: RejectedEvents) -> aio_pika.Message:
    """The rejected part of a delivery, with the reason, and with where it came from."""
    letter = _copy(message)
    if rejected.body != message.body:
        letter.body, letter.message_id = rejected.body, attribute_of_first(rejected.body, "id")
    # A message that was sent on from here before already says where it first came from.
    letter.headers = {_EXCHANGE: message.exchange or "", _ROUTING_KEY: message.routing_key or "", **message.headers}
    letter.headers |= {
        _REASON: rejected.reason,
        _DETAIL: rejected.detail[:_MAX_DETAIL_LENGTH],
        _DIED_AT: datetime.now(UTC).isoformat(),
    }
    return letter


def message_again(letter: AbstractIncomingMessage) -> aio_pika.Message:
    """The message as it was before it died."""
    message = _copy(letter)
    message.headers = {name: value for name, value in letter.headers.items() if not _is_of_a_death(name)}
    return message


def _copy(message: AbstractIncomingMessage) -> aio_pika.Message:
    """Without its time to live: it has died once. And without the user's name, which the broker would check."""
    return aio_pika.Message(
        message.body,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def message_id_of(message: AbstractMessage) -> str:
    """The message's own id; for one without, a name drawn from its content."""
    return message.message_id or f"sha256:{hashlib.sha256(message.body).hexdigest()[:16]}"


def _is_of_a_death(header: str) -> bool:
    return header in _OF_A_DEATH or header.startswith(_OF_A_DEATH_PREFIXES)


def _last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """RabbitMQ's account of why it dead-lettered the message itself, newest first; empty if it did not."""
    match headers.get("x-death"):
        case [dict() as death, *_]:
            return death
    return {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: object) -> datetime | None:
    match value:
        case datetime():
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        case str():
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                return None
    return None

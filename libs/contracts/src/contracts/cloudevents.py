"""The envelope of every message: CloudEvents 1.0, JSON, in batches.

One AMQP message carries a JSON array of events of one type (`application/cloudevents-batch+json`), because what a commit
produced travels together; a quiet system sends arrays of one. Source: CloudEvents 1.0.2, JSON Event Format 1.0.2, section 4.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from contracts.message import Message

CONTENT_TYPE = "application/cloudevents-batch+json"

M = TypeVar("M", bound=Message)


class CloudEvent(BaseModel, Generic[M]):
    """One event. `id` is stable: saying it again, even after a crash, uses the same one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str | None = None
    time: AwareDatetime
    datacontenttype: str = "application/json"
    traceparent: str | None = None
    """W3C trace context of whoever caused the event (CloudEvents distributed-tracing extension)."""
    data: M


def wrap(
    message: M, *, event_id: str, source: str, subject: str, time: datetime, traceparent: str | None = None
) -> CloudEvent[M]:
    """The message in its envelope. `event_id` must be the same each time the same thing is said."""
    message_type = type(message)
    return codec(message_type).envelope(
        id=event_id,
        source=source,
        type=message_type.event_type(),
        subject=subject,
        time=time,
        traceparent=traceparent,
        data=message,
    )


class UndecodableMessageError(ValueError):
    """The body is not a batch of the expected events. `reason` is short, stable and free of the body's content."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def unexpected_type(named: object, expected: Collection[type[Message]]) -> UndecodableMessageError:
    """Another version of what is expected is told from another thing, since the mend differs: deploy, or repair the sender."""
    names = {_name(message_type.event_type()) for message_type in expected}
    reason = "unknown_version" if isinstance(named, str) and _name(named) in names else "unknown_type"
    wanted = " or ".join(sorted(message_type.event_type() for message_type in expected))
    return UndecodableMessageError(reason, f"{named!r} where {wanted} was expected")


def _name(event_type: str) -> str:
    return event_type.rpartition(".v")[0]


def check_content_type(content_type: str | None) -> None:
    """Raises `UndecodableMessageError` for another one than ours; a foreign publisher may leave it out."""
    if content_type and content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise UndecodableMessageError("wrong_content_type", f"{content_type!r} where {CONTENT_TYPE!r} was expected")


@dataclass(frozen=True, slots=True)
class RejectedEvents:
    """A body, or the part of one, that cannot be handled, and why. It is a batch of its own, if it is one at all."""

    body: bytes
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Codec(Generic[M]):
    """Writes and reads batches of one message type."""

    message_type: type[M]
    envelope: type[CloudEvent[M]]
    adapter: TypeAdapter[list[CloudEvent[M]]]

    def encode(self, events: Sequence[CloudEvent[M]]) -> bytes:
        return self.adapter.dump_json(list(events), exclude_none=True)

    def decode(self, body: bytes) -> list[CloudEvent[M]]:
        """The events of one AMQP message, at least one; raises `UndecodableMessageError`, never another error."""
        try:
            events = self.adapter.validate_json(body)
        except ValidationError as error:
            raise _refusal(self.message_type, error, body) from None
        if not events:
            raise UndecodableMessageError("invalid_payload", "an empty batch")
        expected = self.message_type.event_type()
        for event in events:
            if event.type != expected:
                raise unexpected_type(event.type, [self.message_type])
        return events


@cache
def codec(message_type: type[M]) -> Codec[M]:
    """The one codec of a message type; building it compiles the schema."""
    event_type: Any = CloudEvent[message_type]  # type: ignore[valid-type]  # parametrised at run time on purpose
    return Codec(message_type, event_type, TypeAdapter(list[event_type]))


_any_batch = TypeAdapter(list[Any], config=ConfigDict(ser_json_inf_nan="constants"))


def split(body: bytes) -> list[bytes]:
    """Each event of a batch, readable or not, as a batch of its own; none if the body is no batch at all."""
    try:
        return [_any_batch.dump_json([event]) for event in _any_batch.validate_json(body)]
    except ValidationError:
        return []


def attribute_of_first(body: bytes, name: str) -> str | None:
    """An attribute of the batch's first event, such as its `id` or `type`, though nothing else of it may be readable."""
    try:
        match _any_batch.validate_json(body):
            case [dict() as event, *_] if isinstance(value := event.get(name), str):
                return value
    except ValidationError:
        pass
    return None


def _refusal(message_type: type[Message], error: ValidationError, body: bytes) -> UndecodableMessageError:
    said = attribute_of_first(body, "type")
    if said is not None and said != message_type.event_type():
        return unexpected_type(said, [message_type])
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "body"
    more = f" (and {error.error_count() - 1} more errors)" if error.error_count() > 1 else ""
    return UndecodableMessageError("invalid_payload", f"{where}: {first['msg']}{more}")

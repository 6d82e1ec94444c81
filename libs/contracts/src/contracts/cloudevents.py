"""The envelope of every message: CloudEvents 1.0, JSON, in batches.

One AMQP message carries a JSON array of events of one type (`application/cloudevents-batch+json`), because what a commit
produced travels together; a quiet system sends arrays of one. Source: CloudEvents 1.0.2, JSON Event Format 1.0.2, section 4.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Codec(Generic[M]):
    """Writes and reads batches of one message type."""

    message_type: type[M]
    envelope: type[CloudEvent[M]]
    adapter: TypeAdapter[list[CloudEvent[M]]]

    def encode(self, events: Sequence[CloudEvent[M]]) -> bytes:
        return self.adapter.dump_json(list(events), exclude_none=True)

    def decode(self, body: bytes) -> list[CloudEvent[M]]:
        """The events of one AMQP message; raises `UndecodableMessageError`, never another error."""
        try:
            events = self.adapter.validate_json(body)
        except ValidationError as error:
            raise UndecodableMessageError(*_reason(self.message_type, error, body)) from None
        expected = self.message_type.event_type()
        for event in events:
            if event.type != expected:
                raise UndecodableMessageError("unknown_version", f"{event.type!r} where {expected!r} was expected")
        return events


@cache
def codec(message_type: type[M]) -> Codec[M]:
    """The one codec of a message type; building it compiles the schema."""
    event_type: Any = CloudEvent[message_type]  # type: ignore[valid-type]  # parametrised at run time on purpose
    return Codec(message_type, event_type, TypeAdapter(list[event_type]))


def _reason(message_type: type[Message], error: ValidationError, body: bytes) -> tuple[str, str]:
    """An event of another version is told from a broken one, since the mend differs: deploy, or repair the sender."""
    expected = message_type.event_type()
    try:
        types = {event["type"] for event in TypeAdapter(list[dict[str, Any]]).validate_json(body)}
    except (ValidationError, KeyError, TypeError):
        types = set()
    if types and expected not in types:
        return "unknown_version", f"{sorted(map(str, types))} where {expected!r} was expected"
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "body"
    return "invalid_payload", f"{error.error_count()} errors, the first at {where}: {first['msg']}"

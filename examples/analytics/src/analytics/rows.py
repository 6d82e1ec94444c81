"""What a message of the stream becomes: one row per event, whether or not it is understood."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from pydantic import ValidationError

from contracts.cloudevents import CloudEvent, UndecodableMessageError, check_content_type, codec, unexpected_type
from contracts.jobs import JOB_EVENTS, JobEvent, JobFailed, JobQueued, JobRetryScheduled, JobSucceeded

Row: TypeAlias = dict[str, Any]
"""A value for every column, as JSON has it; what is left out is NULL."""

COLUMNS: Mapping[str, str] = {
    # The envelope. `type` and `version` of a known event are its routing key and version, as in GET /jobs/{id}/events.
    "event_id": "VARCHAR",
    "type": "VARCHAR",
    "version": "INTEGER",
    "traceparent": "VARCHAR",
    # What every event says.
    "job_id": "VARCHAR",
    "seq": "BIGINT",
    "user_id": "VARCHAR",
    "model_id": "VARCHAR",
    "occurred_at": "TIMESTAMPTZ",
    # The job after the event.
    "status": "VARCHAR",
    "stage": "VARCHAR",
    "attempt": "BIGINT",
    "cancel_requested": "BOOLEAN",
    # What only some say.
    "requested_at": "TIMESTAMPTZ",
    "priority": "BIGINT",
    "attempt_id": "VARCHAR",
    "worker_id": "VARCHAR",
    "retry_at": "TIMESTAMPTZ",
    "code": "VARCHAR",
    "retryable": "BOOLEAN",
    "stage_durations_ms": "MAP(VARCHAR, DOUBLE)",
    "output_bytes": "BIGINT",
    "payload": "VARCHAR",  # JSON as text: only who asks for it has it parsed, and nothing in it can spoil a file
    # Where it was read, and why it was not understood.
    "reading": "VARCHAR",
    "stream_offset": "BIGINT",
    "position": "INTEGER",
    "received_at": "TIMESTAMPTZ",
    "problem": "VARCHAR",
}
"""Every column with its DuckDB type. Columns may be added; the views read older files with NULL for them."""

_KNOWN: Mapping[str, type[JobEvent]] = {event.event_type(): event for event in JOB_EVENTS}
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as the stream holds it."""

    body: bytes
    content_type: str | None
    offset: int
    received_at: datetime


def rows_of(delivery: Delivery, reading: str) -> list[Row]:
    """One row per event of the message, at least one; never raises.

    What this version does not understand – another type, another version, not an event at all – is kept whole, with the `problem`
    said, so that a later version can make sense of it. It counts for the day it was received on.
    """
    place = {"reading": reading, "stream_offset": delivery.offset, "received_at": _utc(delivery.received_at)}
    try:
        check_content_type(delivery.content_type)
        events = _read(delivery.body)
    except UndecodableMessageError as error:
        text = delivery.body.decode(errors="replace")
        return [place | _not_understood(text, error.reason) | {"position": 0}]
    return [place | _row(event) | {"position": position} for position, event in enumerate(events)]


def day_of(row: Row) -> str:
    """The day in UTC that the row is filed under, such as ``2026-11-01``."""
    return str(row["received_at"] if row.get("problem") else row["occurred_at"])[:10]


def _read(body: bytes) -> list[Any]:
    try:
        events = json.loads(body, parse_constant=lambda _: None)  # NaN is no JSON, whatever Python says
    except (ValueError, RecursionError):
        raise UndecodableMessageError("invalid_payload", "no JSON") from None
    if not isinstance(events, list) or not events:
        raise UndecodableMessageError("invalid_payload", "no batch of events")
    return events


def _row(event: Any) -> Row:
    said = event.get("type") if isinstance(event, dict) else None
    event_type = _KNOWN.get(said) if isinstance(said, str) else None
    if event_type is None:
        return _not_understood(event, unexpected_type(said, JOB_EVENTS).reason)
    try:
        row = _understood(codec(event_type).envelope.model_validate(event), event["data"])
    except (ValidationError, OverflowError):
        return _not_understood(event, "invalid_payload")
    too_large = any(isinstance(value, int) and abs(value) > _LARGEST for value in row.values())
    return _not_understood(event, "invalid_payload") if too_large else row


def _understood(event: CloudEvent[JobEvent], payload: Any) -> Row:
    data, state = event.data, event.data.state
    row: Row = {
        "event_id": event.id,
        "type": data.routing_key,
        "version": data.version,
        "traceparent": event.traceparent,
        "job_id": str(data.job_id),
        "seq": data.seq,
        "user_id": str(data.user_id),
        "model_id": data.model_id,
        "occurred_at": _utc(data.occurred_at),
        "status": state.status,
        "stage": state.stage,
        "attempt": state.attempt,
        "cancel_requested": state.cancel_requested,
        "worker_id": getattr(data, "worker_id", None),
        "payload": _json(payload),
    }
    if (attempt_id := getattr(data, "attempt_id", None)) is not None:
        row["attempt_id"] = str(attempt_id)
    return row | _particulars(data)


def _particulars(data: JobEvent) -> Row:
    match data:
        case JobQueued():
            return {"requested_at": _utc(data.job.requested_at), "priority": data.job.priority}
        case JobRetryScheduled():
            failure = {"code": data.failure.code, "retryable": data.failure.retryable}
            return failure | {"retry_at": _utc(data.retry_at)}
        case JobSucceeded():
            stages = {stage.value: milliseconds for stage, milliseconds in data.stage_durations_ms.items()}
            return {"stage_durations_ms": stages, "output_bytes": sum(output.size_bytes for output in data.outputs)}
        case JobFailed() if data.state.error is not None:
            return {"code": data.state.error.code, "retryable": data.state.error.retryable}
    return {}


def _not_understood(event: Any, problem: str) -> Row:
    row: Row = {"problem": problem, "payload": _json(event)}
    if isinstance(event, dict):
        row |= {"event_id": _text(event.get("id")), "type": _text(event.get("type"))}
        data = event.get("data")
        if isinstance(data, dict):
            row["job_id"] = _text(data.get("job_id"))
    return row


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()

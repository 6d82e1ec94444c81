import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libs.contracts.tests.unit.examples import EXAMPLES, JOB, T1, envelope
from pydantic import ValidationError

from contracts.attempts import AttemptFailed, AttemptStarted
from contracts.cloudevents import (
    CONTENT_TYPE,
    UndecodableMessageError,
    attribute_of_first,
    check_content_type,
    codec,
    split,
    unexpected_type,
    wrap,
)

STARTED = next(message for message in EXAMPLES if isinstance(message, AttemptStarted))
CODEC = codec(AttemptStarted)
REASONS = {"invalid_payload", "unknown_version", "unknown_type"}


def reason_of(body: bytes) -> str | None:
    """Why the body is refused; None if it is not."""
    try:
        CODEC.decode(body)
    except UndecodableMessageError as error:
        return error.reason
    return None


def test_a_batch_keeps_its_order() -> None:
    events = [wrap(STARTED, event_id=f"{number}", source="/test", subject=str(JOB), time=T1) for number in (3, 1, 2)]
    assert [event.id for event in CODEC.decode(CODEC.encode(events))] == ["3", "1", "2"]


def test_the_envelope_is_a_cloudevent_of_the_distributed_tracing_extension() -> None:
    event = envelope(STARTED)
    assert (event.specversion, event.type) == ("1.0", "pipeline3d.attempt.started.v1")
    assert event.traceparent is not None


def test_nothing_is_written_for_what_is_not_known() -> None:
    event = wrap(STARTED, event_id="1", source="/test", subject=str(JOB), time=T1)
    assert "traceparent" not in json.loads(CODEC.encode([event]))[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"null",
        b"{}",
        b"[1]",
        b'[{"type": 1}]',
        b'[{"type": []}]',
        b'[{"data": {}}]',
        b"[" * 500,
    ],
)
def test_a_body_that_is_no_batch_is_refused_with_a_reason(body: bytes) -> None:
    assert reason_of(body) in REASONS


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    assert reason_of(body) in REASONS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "data", "id"]), inner),
    max_leaves=8,
)


@settings(max_examples=100)
@given(st.lists(json_values, max_size=3))
def test_no_json_raises_anything_else(batch: list[object]) -> None:
    assert reason_of(json.dumps(batch).encode()) in REASONS


def test_the_reason_is_free_of_the_bodys_content() -> None:
    with pytest.raises(UndecodableMessageError) as caught:
        CODEC.decode(b'[{"type": "pipeline3d.attempt.started.v1", "id": "secret-id", "data": {"job_id": "secret"}}]')
    assert "secret" not in str(caught.value)


def test_one_event_of_another_type_spoils_the_batch() -> None:
    (event,) = json.loads(CODEC.encode([envelope(STARTED)]))
    with pytest.raises(UndecodableMessageError, match="unknown_version"):
        CODEC.decode(json.dumps([event, event | {"type": "pipeline3d.attempt.started.v2"}]).encode())


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("pipeline3d.attempt.started.v2", "unknown_version"),
        ("pipeline3d.attempt.failed.v12", "unknown_version"),
        ("pipeline3d.attempt.exploded.v1", "unknown_type"),
        ("attempt.started", "unknown_type"),
        ("", "unknown_type"),
        (None, "unknown_type"),
    ],
)
def test_another_version_is_told_from_another_type(named: str | None, reason: str) -> None:
    assert unexpected_type(named, [AttemptStarted, AttemptFailed]).reason == reason


@pytest.mark.parametrize(
    "content_type", [None, "", CONTENT_TYPE, f"{CONTENT_TYPE}; charset=UTF-8", CONTENT_TYPE.upper()]
)
def test_our_content_type_is_read_however_it_is_written(content_type: str | None) -> None:
    check_content_type(content_type)


@pytest.mark.parametrize("content_type", ["text/plain", "application/cloudevents+json", "application/json"])
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(UndecodableMessageError, match="wrong_content_type"):
        check_content_type(content_type)


@settings(max_examples=100)
@given(st.lists(json_values, max_size=4))
def test_a_batch_can_be_split_without_losing_a_word(batch: list[object]) -> None:
    body = json.dumps(batch)
    parts = split(body.encode())
    assert json.dumps([event for part in parts for event in json.loads(part)]) == body


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_what_is_no_batch_has_no_parts_and_no_attributes(body: bytes) -> None:
    body = b"\x00" + body
    assert (split(body), attribute_of_first(body, "id")) == ([], None)


@pytest.mark.parametrize(
    ("body", "event_id"),
    [(b'[{"id": "one"}, {"id": "two"}]', "one"), (b'[{"id": 1}]', None), (b"[1]", None), (b"[]", None), (b"{}", None)],
)
def test_an_events_id_is_found_though_nothing_else_of_it_can_be_read(body: bytes, event_id: str | None) -> None:
    assert attribute_of_first(body, "id") == event_id


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValidationError):
        AttemptStarted.model_validate(STARTED.model_dump() | {"reported_at": datetime(2026, 3, 1)})  # noqa: DTZ001


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        STARTED.reported_at = datetime.now(UTC)  # type: ignore[misc]  # that it is refused is the point

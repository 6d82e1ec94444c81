"""One row per event; whatever else comes is kept, and says why it was not understood."""

import json
from datetime import timedelta

import pytest
from examples.analytics.tests.job_stories import NOON, JobStory, delivery, message
from hypothesis import given
from hypothesis import strategies as st
from libs.contracts.tests.unit.examples import EXAMPLES, envelope

from analytics.rows import COLUMNS, Delivery, Row, day_of, rows_of
from contracts.cloudevents import codec
from contracts.failures import FailureCode
from contracts.jobs import JOB_EVENTS, JobEvent

EVENTS = [event for event in EXAMPLES if isinstance(event, JobEvent)]


def only_row(body: bytes) -> Row:
    [row] = rows_of(delivery(body, 7), "r1")
    return row


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.routing_key)
def test_every_event_becomes_a_row_that_names_it_and_says_how_the_job_stands(event: JobEvent) -> None:
    row = only_row(codec(type(event)).encode([envelope(event)]))
    assert row.keys() <= COLUMNS.keys()
    assert "problem" not in row
    named = {name: row[name] for name in ("type", "version", "job_id", "seq", "user_id", "model_id", "status")}
    assert named == {
        "type": event.routing_key,
        "version": 1,
        "job_id": str(event.job_id),
        "seq": event.seq,
        "user_id": str(event.user_id),
        "model_id": event.model_id,
        "status": event.state.status,
    }
    assert (row["stream_offset"], row["position"], row["reading"]) == (7, 0, "r1")
    assert json.loads(row["payload"]) == event.model_dump(mode="json", exclude_none=True) | {
        key: value for key, value in json.loads(row["payload"]).items() if value is None
    }


def test_every_event_the_contracts_know_is_tried_here() -> None:
    assert {type(event) for event in EVENTS} == set(JOB_EVENTS)


def test_an_attempt_that_failed_says_why_and_where() -> None:
    story = JobStory(1).started(2, "w-9").retried(5, FailureCode.WORKER_LOST, "w-9").started(1).failed(3)
    retry, failure = (only_row(message([story.events[index]])) for index in (2, 4))
    assert (retry["code"], retry["retryable"], retry["worker_id"]) == ("worker_lost", True, "w-9")
    assert (failure["code"], failure["retryable"]) == ("engine_failed", False)


def test_a_success_says_what_it_made_and_where_the_time_went() -> None:
    row = only_row(message([JobStory(1).started(2).succeeded(5).events[-1]]))
    assert (row["output_bytes"], row["stage_durations_ms"]) == (2000, {"generate": 812.5})


def test_a_batch_becomes_a_row_per_event_in_its_order() -> None:
    events = [JobStory(number).events[0] for number in range(3)]
    rows = rows_of(delivery(message(events)), "r1")
    assert [(row["job_id"], row["position"]) for row in rows] == [
        (str(event.job_id), position) for position, event in enumerate(events)
    ]


def changed(**attributes: object) -> bytes:
    [event] = json.loads(message([JobStory(1).events[0]]))
    return json.dumps([event | attributes]).encode()


def with_data(**fields: object) -> bytes:
    [event] = json.loads(message([JobStory(1).events[0]]))
    return changed(data=event["data"] | fields)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (changed(type="pipeline3d.job.queued.v2"), "unknown_version"),
        (changed(type="pipeline3d.job.archived.v1"), "unknown_type"),
        (changed(type=17), "unknown_type"),
        (b'["no event"]', "unknown_type"),
        (changed(data={"job_id": "j"}), "invalid_payload"),
        (with_data(seq=2**70), "invalid_payload"),
        (with_data(occurred_at="0001-01-01T00:00:00+14:00"), "invalid_payload"),
        (b"[]", "invalid_payload"),
        (b"{}", "invalid_payload"),
        (b"[" * 100_000, "invalid_payload"),
        (b"\xff\xfe", "invalid_payload"),
        (b"", "invalid_payload"),
    ],
)
def test_what_is_not_understood_is_kept_with_the_reason(body: bytes, problem: str) -> None:
    row = only_row(body)
    assert row["problem"] == problem
    kept = json.loads(row["payload"])
    assert kept == (
        json.loads(body)[0] if problem != "invalid_payload" or b"data" in body else body.decode(errors="replace")
    )


def test_an_unknown_event_is_named_as_far_as_it_names_itself() -> None:
    row = only_row(changed(type="pipeline3d.job.queued.v2"))
    story = JobStory(1)
    assert (row["type"], row["job_id"]) == ("pipeline3d.job.queued.v2", str(story.job_id))
    assert row["event_id"] == f"{story.job_id}/1"


def test_one_event_that_is_not_understood_takes_none_of_its_neighbours_with_it() -> None:
    good = json.loads(message([JobStory(1).events[0]]))
    rows = rows_of(delivery(json.dumps([*good, "?", *good]).encode()), "r1")
    assert [row.get("problem") for row in rows] == [None, "unknown_type", None]


def test_another_content_type_is_not_guessed_at() -> None:
    [row] = rows_of(Delivery(b"a,b", "text/csv", 0, NOON), "r1")
    assert row["problem"] == "wrong_content_type"


def test_a_new_field_of_an_event_is_kept_though_nobody_here_knows_it() -> None:
    row = only_row(with_data(invented_later={"x": 1}))
    assert "problem" not in row
    assert json.loads(row["payload"])["invented_later"] == {"x": 1}


def test_an_event_counts_for_its_own_day_and_a_riddle_for_the_day_it_came() -> None:
    late = JobStory(1, at=NOON + timedelta(hours=11, minutes=59, seconds=59)).started(2).events[-1]
    assert day_of(only_row(message([late]))) == "2026-11-02"
    assert day_of(only_row(changed(type="pipeline3d.job.queued.v2"))) == "2026-11-04"


@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_no_body_whatever_keeps_the_reader_from_the_next_one(body: bytes) -> None:
    rows = rows_of(delivery(body), "r1")
    assert rows
    assert all(row["problem"] and row["payload"] is not None for row in rows)

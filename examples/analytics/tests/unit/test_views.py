"""The files hold an event at least once; what is asked counts it once, in whatever order and company it came."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from examples.analytics.tests.job_stories import ALICE, BOB, NOON, JobStory, delivery, message
from examples.analytics.tests.unit.archive_of import fill, select
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.query import UnknownQueryError, ask, query_names
from analytics.rows import COLUMNS, Delivery
from analytics.views import open_views
from contracts.failures import FailureCode
from contracts.jobs import JobEvent

STORIES = [
    JobStory(1).started(2).succeeded(10),
    JobStory(2).started(4).succeeded(20),
    JobStory(3, user=BOB).started(6, "w-2").retried(30, FailureCode.WORKER_LOST, "w-2").started(5).failed(7),
    JobStory(4, model="dreamfusion-sd", at=NOON + timedelta(hours=11, minutes=50))
    .started(8)
    .cancelling(900)
    .cancelled(1),
    JobStory(5, user=BOB, at=NOON + timedelta(minutes=59)).cancelled(120),
    JobStory(6).started(1),
    JobStory(7),
]
EVENTS = [event for story in STORIES for event in story.events]
VIEWS = ("events", "attempts", "jobs")


def answers(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    with open_views(directory) as views:
        return {view: views.sql(f"FROM {view} ORDER BY ALL").fetchall() for view in VIEWS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every event once, in order, in one roll."""
    directory = tmp_path_factory.mktemp("plain")
    fill(directory, [[delivery(message([event]), offset) for offset, event in enumerate(EVENTS)]])
    return directory


@st.composite
def rolls(draw: st.DrawFn) -> list[list[Delivery]]:
    """All of `EVENTS` in some order, some of them again, in batches of one type, in several rolls."""
    told: list[JobEvent] = draw(st.permutations([*EVENTS, *draw(st.lists(st.sampled_from(EVENTS), max_size=10))]))
    batches: list[list[JobEvent]] = []
    for event in told:
        if batches and type(batches[-1][0]) is type(event) and draw(st.booleans()):
            batches[-1].append(event)
        else:
            batches.append([event])
    messages = [delivery(message(batch), offset) for offset, batch in enumerate(batches)]
    cuts = sorted(draw(st.sets(st.integers(1, len(messages) - 1), max_size=2)))
    return [messages[start:end] for start, end in zip([0, *cuts], [*cuts, len(messages)], strict=True)]


@settings(max_examples=10, deadline=None)
@given(rolls())
def test_any_order_repetition_and_grouping_of_deliveries_gives_the_same_answers(
    plain: Path, rolls: list[list[Delivery]]
) -> None:
    with TemporaryDirectory() as directory:
        fill(Path(directory), rolls)
        assert answers(Path(directory)) == answers(plain)


def answer(directory: Path, name: str, **parameters: str) -> list[dict[str, Any]]:
    relation = ask(directory, name, parameters)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_waiting_and_running_by_model_and_hour(plain: Path) -> None:
    first, *_, last = answer(plain, "waiting_and_running")
    assert first == {
        "hour": NOON,
        "model": "sf3d-v1",
        "jobs": 6,
        "wait_p50": 3.0,  # of 1, 2, 4, 6: job 5 and 7 were never taken
        "wait_p95": 5.7,
        "wait_p99": 5.94,
        "run_p50": 15.0,  # of 10 and 20: the attempts that succeeded
        "run_p95": 19.5,
        "run_p99": 19.9,
    }
    assert (last["hour"], last["model"], last["wait_p50"], last["run_p50"]) == (
        NOON + timedelta(hours=11),
        "dreamfusion-sd",
        8.0,
        None,
    )


def test_lost_gpu_time_by_code_and_worker(plain: Path) -> None:
    assert [tuple(row.values()) for row in answer(plain, "lost_gpu_time")] == [
        ("cancelled", "w-1", 1, 1, 901.0),
        ("worker_lost", "w-2", 1, 1, 30.0),
        ("engine_failed", "w-1", 1, 1, 7.0),
    ]


def test_throughput_by_day_and_user(plain: Path) -> None:
    first_day, next_day = NOON.date(), (NOON + timedelta(days=1)).date()
    assert [tuple(row.values()) for row in answer(plain, "throughput")] == [
        (first_day, str(ALICE), 2, 2, 0, 0, 1.0, 0),
        (first_day, str(BOB), 2, 0, 1, 1, 0.0, 1),
        (next_day, str(ALICE), 1, 0, 0, 1, None, 0),
    ]


def test_the_life_of_one_job(plain: Path) -> None:
    life = answer(plain, "job_life", job_id=str(STORIES[2].job_id))
    assert [(row["type"], row["after_seconds"]) for row in life] == [
        ("job.queued", None),
        ("job.started", 6.0),
        ("job.retry_scheduled", 30.0),
        ("job.started", 5.0),
        ("job.failed", 7.0),
    ]


def test_a_hole_in_a_job_is_found(plain: Path, tmp_path: Path) -> None:
    assert answer(plain, "missing_events") == []
    kept = [event for event in EVENTS if event is not STORIES[2].events[2]]
    fill(tmp_path, [[delivery(message([event]), offset) for offset, event in enumerate(kept)]])
    [hole] = answer(tmp_path, "missing_events")
    assert (hole["job_id"], hole["last_seq"], hole["missing"]) == (str(STORIES[2].job_id), 5, 1)


@pytest.mark.parametrize("name", query_names())
def test_every_question_may_be_asked_before_anything_was_read(tmp_path: Path, name: str) -> None:
    parameters = {"job_id": "none"} if name == "job_life" else {}
    assert answer(tmp_path, name, **parameters) == []


def test_columns_that_older_files_do_not_have_are_null_there(plain: Path, tmp_path: Path) -> None:
    fill(tmp_path, [[delivery(message([EVENTS[0]]))]])
    older = tmp_path / "events" / "day=2026-10-01"
    older.mkdir()
    with open_views(tmp_path) as views:
        views.execute(f"COPY (SELECT job_id, seq, problem FROM deliveries) TO '{older}/older.parquet'")
        kinds = {column[0]: str(column[1]) for column in views.sql("DESCRIBE deliveries").fetchall()}
    assert select(tmp_path, "SELECT count(*), count(type) FROM deliveries") == [(2, 1)]
    assert kinds.keys() == COLUMNS.keys() | {"day"}


def test_an_unknown_question_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownQueryError, match="lost_gpu_time, missing_events"):
        ask(tmp_path, "../secrets", {})

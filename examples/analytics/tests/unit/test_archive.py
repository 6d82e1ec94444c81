"""Whatever ends the process, the files hold every message up to the mark, once."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from examples.analytics.tests.job_stories import NOON, JobStory, deliveries, delivery, message
from examples.analytics.tests.unit.archive_of import fill, roll_of, select

from analytics import archive as archives
from analytics.archive import ArchiveInUseError, open_archive
from analytics.checkpoint import load
from analytics.starting_point import Edge

STORY = JobStory(1, at=NOON + timedelta(hours=11, minutes=59)).started(30).retried(40).started(5).succeeded(9)
MESSAGES = deliveries(STORY.events)


def parquet_files(directory: Path) -> list[str]:
    return sorted(str(file.relative_to(directory / "events")) for file in directory.glob("events/*/*"))


def test_events_are_filed_by_day_under_the_offsets_they_came_from(tmp_path: Path) -> None:
    fill(tmp_path, [MESSAGES])
    checkpoint = load(tmp_path / "checkpoint.json")
    assert checkpoint is not None
    name = f"{checkpoint.reading}-{0:020d}-{4:020d}.parquet"
    assert parquet_files(tmp_path) == [f"day=2026-11-01/{name}", f"day=2026-11-02/{name}"]
    by_day = "SELECT day::VARCHAR, list(seq ORDER BY seq) FROM deliveries GROUP BY ALL ORDER BY ALL"
    assert select(tmp_path, by_day) == [("2026-11-01", [1, 2]), ("2026-11-02", [3, 4, 5])]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    fill(tmp_path, [MESSAGES])
    [row] = select(
        tmp_path,
        "SELECT status, attempt, code, retryable, requested_at, stage_durations_ms, output_bytes, payload, occurred_at"
        " FROM events WHERE type = 'job.succeeded'",
    )
    [event] = json.loads(MESSAGES[-1].body)
    assert row[:4] == ("SUCCEEDED", 2, None, None)
    assert row[4:7] == (None, {"generate": 812.5}, 2000)
    assert json.loads(row[7]) == event["data"]
    assert row[8] == STORY.events[-1].occurred_at


@pytest.mark.parametrize("text", ["“Stuhl” 🪑", "a\x00b", "line\nbreak\u2028", "\\\"'", "x" * 200_000])
def test_no_text_in_an_event_can_spoil_a_file(tmp_path: Path, text: str) -> None:
    [event] = json.loads(message(STORY.events[:1]))
    event["data"]["job"]["prompt"] = text
    fill(tmp_path, [[delivery(json.dumps([event]).encode())]])
    [(payload,)] = select(tmp_path, "SELECT payload FROM events")
    assert json.loads(payload)["job"]["prompt"] == text


def test_half_a_character_is_kept_as_a_question_mark(tmp_path: Path) -> None:
    fill(tmp_path, [[delivery(b'[{"type": "\\ud83e"}]')]])
    assert select(tmp_path, "SELECT type, problem FROM deliveries") == [("?", "unknown_type")]


def test_riddles_are_kept_beside_the_events_and_count_for_none(tmp_path: Path) -> None:
    fill(tmp_path, [[*MESSAGES, delivery(b"what?", 5)]])
    assert select(tmp_path, "SELECT count(*), count(problem) FROM deliveries") == [(6, 1)]
    assert select(tmp_path, "SELECT count(*) FROM events") == [(5,)]


def test_the_next_run_goes_on_behind_the_last_complete_file(tmp_path: Path) -> None:
    fill(tmp_path, [MESSAGES[:2], MESSAGES[2:4]])
    with open_archive(tmp_path) as archive:
        assert archive.has_begun
        assert archive.checkpoint.mark is not None
        assert archive.checkpoint.mark.offset == 3


def test_an_empty_directory_has_no_reading_to_go_on_with(tmp_path: Path) -> None:
    with open_archive(tmp_path / "new") as archive:
        assert not archive.has_begun


class PowerCutError(Exception):
    """The process ends here."""


@pytest.mark.parametrize(("moment", "survived"), [("write_parquet", 0), ("write_parquet", 1), ("save", 0)])
def test_a_roll_that_was_cut_short_leaves_nothing_that_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, survived: int
) -> None:
    """`survived` calls of this step are made, the next one is the end. STORY makes two files: one is written, one is not."""
    fill(tmp_path, [MESSAGES[:1]])
    step, calls = getattr(archives, moment), iter(range(survived))

    def cut(*arguments: object) -> None:
        if next(calls, None) is None:
            raise PowerCutError
        step(*arguments)

    with open_archive(tmp_path) as archive:
        monkeypatch.setattr(archives, moment, cut)
        with pytest.raises(PowerCutError):
            archive.commit(roll_of(archive, MESSAGES[1:]))
        monkeypatch.undo()
    with open_archive(tmp_path) as archive:
        assert archive.checkpoint.mark is not None
        assert archive.checkpoint.mark.offset == 0
        assert select(tmp_path, "SELECT seq FROM deliveries") == [(1,)]
        archive.commit(roll_of(archive, MESSAGES[1:]))
    assert select(tmp_path, "SELECT seq FROM deliveries ORDER BY seq") == [(1,), (2,), (3,), (4,), (5,)]


def test_a_stream_that_is_read_anew_leaves_the_former_files_and_counts_once(tmp_path: Path) -> None:
    fill(tmp_path, [MESSAGES])
    fill(tmp_path, [MESSAGES[:3]])
    assert select(tmp_path, "SELECT count(*), count(DISTINCT reading) FROM deliveries") == [(8, 2)]
    assert select(tmp_path, "SELECT seq FROM events ORDER BY seq") == [(1,), (2,), (3,), (4,), (5,)]


def test_a_reading_that_began_at_the_end_of_the_stream_begins_there_again(tmp_path: Path) -> None:
    with open_archive(tmp_path) as archive:
        archive.begin_reading(Edge.NEXT)
        archive.pin(1200)
    with open_archive(tmp_path) as archive:
        assert archive.checkpoint.start == "offset:1200"


def test_one_follower_at_a_time_writes_to_a_directory(tmp_path: Path) -> None:
    with open_archive(tmp_path), pytest.raises(ArchiveInUseError, match="ANALYTICS_DIR"), open_archive(tmp_path):
        pass
    with open_archive(tmp_path):
        pass

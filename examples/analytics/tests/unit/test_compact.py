"""A day's many files become one, and nothing that is asked changes."""

from datetime import timedelta
from pathlib import Path

import pytest
from examples.analytics.tests.job_stories import NOON, JobStory, deliveries
from examples.analytics.tests.unit.archive_of import fill, roll_of, select

from analytics.archive import open_archive
from analytics.compact import compact

MESSAGES = deliveries(JobStory(1).started(2).retried(3).started(2).succeeded(9).events)
LATER = NOON + timedelta(days=2)


def test_a_past_day_becomes_one_file_with_the_same_rows(tmp_path: Path) -> None:
    fill(tmp_path, [[message] for message in MESSAGES])
    before = select(tmp_path, "FROM deliveries ORDER BY ALL")
    assert compact(tmp_path, LATER) == 1
    assert len(list(tmp_path.glob("events/*/*"))) == 1
    assert select(tmp_path, "FROM deliveries ORDER BY ALL") == before
    assert compact(tmp_path, LATER) == 0


def test_a_day_that_may_still_grow_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, [[message] for message in MESSAGES])
    assert compact(tmp_path, NOON + timedelta(days=1)) == 0


def test_files_of_a_roll_that_is_under_way_are_left_to_the_follower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, [[message] for message in MESSAGES[:2]])
    with open_archive(tmp_path) as archive, monkeypatch.context() as patch:
        patch.setattr("analytics.archive.save", lambda *_: compact(tmp_path, LATER))
        archive.commit(roll_of(archive, MESSAGES[2:]))
    with open_archive(tmp_path) as archive:  # the mark was not moved: the third file is not yet complete, and goes
        archive.commit(roll_of(archive, MESSAGES[2:]))
    assert select(tmp_path, "SELECT seq FROM deliveries ORDER BY seq") == [(1,), (2,), (3,), (4,), (5,)]


def test_a_crash_before_the_old_files_are_gone_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, [[message] for message in MESSAGES])
    before = select(tmp_path, "FROM events ORDER BY ALL")

    def crash(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", crash)
    with pytest.raises(KeyboardInterrupt):
        compact(tmp_path, LATER)
    monkeypatch.undo()
    assert select(tmp_path, "SELECT count(*) > count(DISTINCT seq) FROM deliveries") == [(True,)]
    assert select(tmp_path, "FROM events ORDER BY ALL") == before
    assert compact(tmp_path, LATER) == 1
    assert select(tmp_path, "FROM events ORDER BY ALL") == before

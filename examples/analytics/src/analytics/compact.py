"""Makes one file of a day's many."""

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog

from analytics.archive import CHECKPOINT, last_offset
from analytics.checkpoint import Checkpoint, load
from analytics.parquet import connect, quoted, sync

log = structlog.get_logger()

_SETTLED_AFTER = timedelta(days=1)
"""A day is left alone until the one after it is over too: events that come late are still filed under it."""


def compact(directory: Path, now: datetime | None = None) -> int:
    """Merges the files of each day that is past, and returns how many days it touched. A follower may be at work meanwhile.

    What is in it twice stays in it twice. The merged file appears before the others go: a crash in between leaves rows double,
    which the views count once. A question that is being answered in that moment may miss a file, and say so: ask again.
    """
    today = (now or datetime.now(UTC)).date()
    touched = 0
    for day_directory, files in _days(directory, today - _SETTLED_AFTER):
        merged = day_directory / f"compacted-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{secrets.token_hex(2)}.parquet"
        partial = directory / f".compacting-{merged.name}"
        _merge(files, partial)
        partial.replace(merged)
        sync(day_directory)
        for file in files:
            file.unlink()
        log.info("analytics.day.compacted", day=day_directory.name, files=len(files))
        touched += 1
    return touched


def _days(directory: Path, before: date) -> Iterator[tuple[Path, list[Path]]]:
    """Days with several complete files."""
    checkpoint = load(directory / CHECKPOINT)
    for day_directory in sorted((directory / "events").glob("day=*")):
        if date.fromisoformat(day_directory.name.removeprefix("day=")) >= before:
            continue
        files = [file for file in sorted(day_directory.glob("*.parquet")) if _is_complete(file, checkpoint)]
        if len(files) > 1:
            yield day_directory, files


def _is_complete(file: Path, checkpoint: Checkpoint | None) -> bool:
    """Whether the follower will never remove it: its roll has finished."""
    if checkpoint is None or not file.name.startswith(f"{checkpoint.reading}-"):
        return True
    return checkpoint.mark is not None and last_offset(file) <= checkpoint.mark.offset


def _merge(files: list[Path], target: Path) -> None:
    with connect(target.parent) as connection:
        listed = ", ".join(quoted(file) for file in files)
        rows = f"FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false) ORDER BY job_id, seq"
        connection.execute(f"COPY ({rows}) TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)")
    sync(target)

"""The directory of Parquet files.

    ANALYTICS_DIR/checkpoint.json
    ANALYTICS_DIR/events/day=2026-11-01/<reading>-<first offset>-<last offset>.parquet
    ANALYTICS_DIR/.partial/                what is being written; nobody reads there

A file appears whole, by renaming, and before the checkpoint that covers it. So whatever ends the process, the files of a reading
hold every message up to its mark; those beyond it were of a roll that did not finish, and go when the archive is opened again.
"""

import fcntl
import math
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from analytics.checkpoint import Checkpoint, load, new_reading, save
from analytics.continuity import Mark, digest
from analytics.parquet import as_line, sync, write_parquet
from analytics.rows import Delivery, Row, day_of, rows_of
from analytics.starting_point import StartingPoint, as_text

log = structlog.get_logger()


CHECKPOINT, BEAT = "checkpoint.json", ".beat"
_BEAT_SECONDS = 5.0


class ArchiveInUseError(Exception):
    """Another process writes to this directory."""


@dataclass
class Roll:
    """What waits to become files."""

    first_offset: int | None = None
    last: Mark | None = None
    size_bytes: int = 0
    rows: int = 0
    not_understood: int = 0
    lines: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """By day."""

    def add(self, delivery: Delivery, rows: Sequence[Row]) -> None:
        if self.first_offset is None:
            self.first_offset = delivery.offset
        self.last = Mark(offset=delivery.offset, digest=digest(delivery.body))
        for row in rows:
            line = as_line(row)
            self.lines[day_of(row)].append(line)
            self.size_bytes += len(line)
            self.not_understood += "problem" in row
        self.rows += len(rows)


class Archive:
    """One follower's; made by `open_archive`."""

    def __init__(self, directory: Path) -> None:
        self._events = directory / "events"
        self._partial = directory / ".partial"
        self._checkpoint = directory / CHECKPOINT
        self._beat = directory / BEAT
        self._last_beat = -math.inf
        self._current = load(self._checkpoint)

    @property
    def has_begun(self) -> bool:
        """Whether there is a reading to go on with."""
        return self._current is not None

    @property
    def checkpoint(self) -> Checkpoint:
        """Of the reading that goes on: `begin_reading` makes the first."""
        if self._current is None:
            raise LookupError("no reading has begun")
        return self._current

    def begin_reading(self, start: StartingPoint) -> None:
        """From here on, files belong to another reading. What earlier ones wrote stays, and counts once, however often read."""
        self._save(new_reading(start))

    def pin(self, offset: int) -> None:
        """The reading begins with this message, wherever else its starting point would be found the next time."""
        self._save(self.checkpoint.model_copy(update={"start": as_text(offset)}))

    def beat(self) -> None:
        """Says that the stream is being read; at most every few seconds, for whoever asks whether all is well."""
        if time.monotonic() >= self._last_beat + _BEAT_SECONDS:
            self._last_beat = time.monotonic()
            self._beat.touch()

    def commit(self, roll: Roll) -> None:
        """Makes files of the roll, one per day, then moves the mark. A crash in between leaves the mark where it was."""
        if roll.first_offset is None or roll.last is None:
            raise ValueError("an empty roll makes no file")
        name = f"{self.checkpoint.reading}-{roll.first_offset:020d}-{roll.last.offset:020d}.parquet"
        written = []
        for day, lines in roll.lines.items():
            partial = self._partial / f"{day}-{name}"
            write_parquet(lines, partial)
            written.append((partial, self._events / f"day={day}"))
        for partial, day_directory in written:
            day_directory.mkdir(exist_ok=True)
            partial.replace(day_directory / name)
            sync(day_directory)
        sync(self._events)
        self._save(self.checkpoint.model_copy(update={"mark": roll.last}))

    def rows_of(self, delivery: Delivery) -> list[Row]:
        return rows_of(delivery, self.checkpoint.reading)

    def remove_unfinished(self) -> None:
        """What a roll left that did not come to its end."""
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._events.mkdir(exist_ok=True)
        for file in files_beyond(self._events, self._current):
            log.info("analytics.file.removed", file=file.name, reason="its roll did not finish: it is read again")
            file.unlink()

    def _save(self, checkpoint: Checkpoint) -> None:
        self._current = checkpoint.model_copy(update={"written_at": datetime.now(UTC)})
        save(self._checkpoint, self._current)


@contextmanager
def open_archive(directory: Path) -> Iterator[Archive]:
    """The archive, for one process at a time. Raises `ArchiveInUseError`."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArchiveInUseError(
                f"another follower writes to {directory}: stop it, or give this one a directory of its own in ANALYTICS_DIR"
            ) from None
        archive = Archive(directory)
        archive.remove_unfinished()
        yield archive


def files_beyond(events: Path, checkpoint: Checkpoint | None) -> list[Path]:
    """Files of the checkpoint's reading that it does not cover."""
    if checkpoint is None:
        return []
    mark = -1 if checkpoint.mark is None else checkpoint.mark.offset
    return [file for file in events.glob(f"day=*/{checkpoint.reading}-*.parquet") if last_offset(file) > mark]


def last_offset(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])

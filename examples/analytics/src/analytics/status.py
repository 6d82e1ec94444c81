"""Whether the stream is being read, and how far the files go: what a container's health check asks."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analytics.archive import BEAT, CHECKPOINT
from analytics.checkpoint import load

_SILENT_AFTER_SECONDS = 60.0
"""A roll of a large file, or the pause of an outage that is just over, is no reason to be killed."""


@dataclass(frozen=True, slots=True)
class Status:
    is_reading: bool
    """A follower was attached to the stream within the last minute."""
    last_seen_seconds_ago: float | None
    reading: str | None
    start: str | None
    last_offset: int | None
    """Of the last message that is in files."""
    written_at: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def status(directory: Path) -> Status:
    beat = directory / BEAT
    ago = time.time() - beat.stat().st_mtime if beat.exists() else None
    checkpoint = load(directory / CHECKPOINT)
    return Status(
        is_reading=ago is not None and ago < _SILENT_AFTER_SECONDS,
        last_seen_seconds_ago=None if ago is None else round(ago, 1),
        reading=checkpoint.reading if checkpoint else None,
        start=checkpoint.start if checkpoint else None,
        last_offset=checkpoint.mark.offset if checkpoint and checkpoint.mark else None,
        written_at=checkpoint.written_at.isoformat() if checkpoint else None,
    )

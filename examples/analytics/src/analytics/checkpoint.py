"""Up to which message of the stream the files are complete."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from analytics.continuity import Mark
from analytics.parquet import sync
from analytics.starting_point import StartingPoint, as_text


class Checkpoint(BaseModel):
    """Written after the files it speaks of, each time whole: it never claims what is not on the disk."""

    model_config = ConfigDict(frozen=True)

    reading: str
    """One reading of a stream from one starting point on, in any number of runs. The names of its files begin with it."""
    start: str
    """Where the reading began, as `parse_starting_point` has it."""
    mark: Mark | None = None
    """None: no file yet, the reading is still to begin."""
    written_at: datetime


def new_reading(start: StartingPoint) -> Checkpoint:
    """A reading that has not begun. Later ones sort behind earlier ones."""
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S}{now.microsecond:06d}Z{secrets.token_hex(2)}"
    return Checkpoint(reading=name, start=as_text(start), written_at=now)


def load(path: Path) -> Checkpoint | None:
    """None where nothing was read yet. Raises `ValueError` for a file that is not ours."""
    try:
        return Checkpoint.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Replaces the file in one step; returning means that it is on the disk."""
    beside = path.with_suffix(".new")
    beside.write_text(checkpoint.model_dump_json(indent=2) + "\n")
    sync(beside)
    beside.replace(path)
    sync(path.parent)

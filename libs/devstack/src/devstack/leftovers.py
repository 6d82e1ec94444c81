"""Knows which processes a run started, so that the next run can end those a killed one left behind."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError


class Noted(BaseModel):
    """A process and the moment it started: a pid alone may be somebody else's tomorrow."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return start_ticks(self.pid) == self.started


def record(directory: Path, name: str, pid: int) -> None:
    started = start_ticks(pid)
    if started is not None:
        (directory / f"{name}.json").write_text(Noted(pid=pid, started=started).model_dump_json())


def forget(directory: Path, name: str) -> None:
    (directory / f"{name}.json").unlink(missing_ok=True)


def noted_in(file: Path) -> Noted | None:
    """None if the file is gone, or is only half of one because its writer was killed."""
    with suppress(FileNotFoundError, ValidationError):
        return Noted.model_validate_json(file.read_bytes())
    return None


def end_leftovers(directory: Path, grace_seconds: float = 5.0) -> list[str]:
    """Ends the recorded processes that still run, with their groups, and forgets them all.

    SIGTERM first, SIGKILL when the grace is over. Returns the names of those that were running.
    """
    alive: dict[str, Noted] = {}
    for file in sorted(directory.glob("*.json")):
        noted = noted_in(file)
        if noted and noted.alive:
            alive[file.stem] = noted
            with suppress(ProcessLookupError):
                os.kill(noted.pid, signal.SIGTERM)
                os.kill(noted.pid, signal.SIGCONT)  # one that was suspended would not hear it
        file.unlink(missing_ok=True)
    deadline = time.monotonic() + grace_seconds
    for noted in alive.values():
        while noted.alive and time.monotonic() < deadline:
            time.sleep(0.02)
        # Each was started as the leader of its own group: what it started in turn ends with it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(noted.pid, signal.SIGKILL)
    return list(alive)


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none or only its exit status is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the program's name in brackets, may itself hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])

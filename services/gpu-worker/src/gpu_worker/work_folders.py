"""The folders in which attempts work, and nothing of them left behind: not after an attempt, not after a killed worker."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import structlog

from contracts.ids import WorkerId

log = structlog.get_logger()


class WorkFolder:
    """One attempt's own. What the engine makes lies in `outputs`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.input_image = path / "input"
        self.engine_log = path / "engine.log"
        self.outputs = path / "outputs"


class WorkFolders:
    """`<root>/<worker>/<number>`, for this user only, and empty when an attempt gets it.

    A worker holds a lock on `<root>/<worker>.lock` as long as it lives, so that workers can share a root: what belongs to a lock
    that nobody holds was left by a worker that was killed, and the next to start removes it.
    """

    def __init__(self, root: Path, worker_id: WorkerId) -> None:
        self._root = root
        self._own = root / worker_id
        self._lock_path = root / f"{worker_id}.lock"
        self._lock: int | None = None
        self._numbers = count(1)
        self._unused: list[WorkFolder] = []

    def open(self) -> None:
        """Raises OSError if the root cannot be written."""
        self._root.mkdir(parents=True, exist_ok=True)
        starting = _open_lock(self._root / ".starting")
        try:
            fcntl.flock(starting, fcntl.LOCK_EX)  # or a worker that starts now could take our new lock for an orphan
            self._lock = _open_lock(self._lock_path)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._own.mkdir(mode=0o700)
            for lock_path in self._root.glob("*.lock"):
                if lock_path != self._lock_path:
                    _remove_if_orphaned(lock_path)
        finally:
            os.close(starting)

    def close(self) -> None:
        """Idempotent."""
        if self._lock is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def folder(self) -> Iterator[WorkFolder]:
        """An empty folder, gone afterwards. One in which nothing was written is kept for the next attempt, since making and
        removing it would be half of the worker's share in a very short one."""
        folder = self._unused.pop() if self._unused else self._new()
        try:
            yield folder
        finally:
            if _is_untouched(folder):
                self._unused.append(folder)
            else:
                shutil.rmtree(folder.path, ignore_errors=True)

    def _new(self) -> WorkFolder:
        folder = WorkFolder(self._own / str(next(self._numbers)))
        folder.path.mkdir(mode=0o700)
        folder.outputs.mkdir(mode=0o700)
        return folder


def _is_untouched(folder: WorkFolder) -> bool:
    try:
        return os.listdir(folder.path) == ["outputs"] and not os.listdir(folder.outputs)  # noqa: PTH208  on the hot path
    except OSError:
        return False  # an engine may do anything to its folder


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)


def _remove_if_orphaned(lock_path: Path) -> None:
    with contextlib.suppress(OSError):
        lock = os.open(lock_path, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            log.info("gpu_worker.orphan_folder.removed", worker_id=lock_path.stem)
            shutil.rmtree(lock_path.with_suffix(""), ignore_errors=True)
            lock_path.unlink(missing_ok=True)
        finally:
            os.close(lock)

"""A folder inside the project that holds everything a run keeps: data, logs, secrets, ports, the list of its processes."""

import fcntl
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.errors import StateInUseError
from devstack.leftovers import end_leftovers
from devstack.ports import free_ports, is_free

_log = logging.getLogger("devstack")


class StateDirectory:
    """One run at a time works in it; a second run finds the first one's data, ports and secrets."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @contextmanager
    def claimed(self) -> Iterator["StateDirectory"]:
        """Holds the folder for this process and ends what a killed run left in it.

        The kernel drops the lock with its process, so none is ever stale. Raises `StateInUseError`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise StateInUseError(self.path, lock.read().strip()) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            for name in end_leftovers(self.processes):
                _log.info("ended %s, which an earlier run had left behind", name)
            yield self

    def directory(self, *names: str) -> Path:
        path = self.path.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def processes(self) -> Path:
        return self.directory("processes")

    def log(self, name: str) -> Path:
        return self.directory("logs") / f"{name}.log"

    def secret(self, name: str) -> str:
        """A random secret, made the first time it is asked for."""
        file = self.directory("secrets") / name
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24))
        return file.read_text()

    def ports(self, server: str, names: tuple[str, ...]) -> dict[str, int]:
        """A port for each name: those of the last run where they are still free, else new ones."""
        file, known = self._ports_file(server), self.last_ports(server)
        if set(known) != set(names) or not all(map(is_free, known.values())):
            known = dict(zip(names, free_ports(len(names)), strict=True))
            file.write_text(json.dumps(known))
        return known

    def last_ports(self, server: str) -> dict[str, int]:
        """Those of the last run; empty before the first."""
        file = self._ports_file(server)
        known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        return known

    def _ports_file(self, server: str) -> Path:
        return self.directory("ports") / f"{server}.json"

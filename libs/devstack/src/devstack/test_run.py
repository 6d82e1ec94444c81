"""The servers of one test run, shared by its processes.

The first process that needs a server has a keeper (`devstack.keeper`) started, which outlives that process but not the run.
"""

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import TypeAdapter

from devstack.addresses import Address, PostgresAddress, RabbitAddress, S3Address, ServerKind
from devstack.errors import DevstackError, last_lines
from devstack.leftovers import Noted, end_leftovers, noted_in, record, start_ticks
from devstack.state import StateDirectory
from devstack.stray_sockets import remove_stray_sockets

_READY_TIMEOUT_SECONDS = 120.0
_STOP_TIMEOUT_SECONDS = 20.0
_ADDRESS: dict[ServerKind, TypeAdapter[Address]] = {
    ServerKind.POSTGRES: TypeAdapter(PostgresAddress),
    ServerKind.RABBITMQ: TypeAdapter(RabbitAddress),
    ServerKind.S3: TypeAdapter(S3Address),
}


class TestRun:
    """A folder in which the processes of a run find the servers' addresses, and the process with which the run ends."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    def __init__(self, folder: Path, owner_pid: int) -> None:
        self.folder = folder
        self.owner_pid = owner_pid

    def request(self, kinds: Collection[ServerKind]) -> None:
        """Has the servers started which nobody of this run has asked for yet; returns at once."""
        self._keepers.mkdir(parents=True, exist_ok=True)
        with (self.folder / "requests").open("a+") as requests:
            fcntl.flock(requests, fcntl.LOCK_EX)
            requests.seek(0)
            asked_for = set(requests.read().split())
            if missing := [kind.value for kind in kinds if kind not in asked_for]:
                self._start_keeper(missing)
                requests.write("".join(f"{kind}\n" for kind in missing))

    def wait_for(self, kind: ServerKind) -> Address:
        """The address of a server that was requested, once it answers. Raises `DevstackError` if it did not start."""
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if (file := self.folder / f"{kind}.json").exists():
                return _ADDRESS[kind].validate_json(file.read_bytes())
            if (file := self.folder / f"{kind}.failed").exists():
                raise DevstackError(file.read_text())
            if not any(keeper.alive for name, keeper in self._noted() if kind in name):
                break
            time.sleep(0.02)
        log = next(self.folder.glob(f"keeper-*{kind}*.log"), self.folder / "keeper.log")
        raise DevstackError(f"{kind} did not start; the end of {log}:\n" + "\n".join(last_lines(log)))

    def end(self) -> None:
        """Stops the servers and removes what they kept. Idempotent."""
        end_leftovers(self._keepers, grace_seconds=_STOP_TIMEOUT_SECONDS)
        for kind in ServerKind:
            # What a killed keeper could not end itself.
            end_leftovers(self.folder / kind / "processes")
        if (store := self.folder / ServerKind.S3).exists():
            remove_stray_sockets(StateDirectory(store))
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _keepers(self) -> Path:
        return self.folder / "keepers"

    def _noted(self) -> Iterator[tuple[str, Noted]]:
        return ((file.stem, noted) for file in self._keepers.glob("*.json") if (noted := noted_in(file)))

    def _start_keeper(self, kinds: list[str]) -> None:
        name = f"keeper-{'-'.join(kinds)}"
        with (self.folder / f"{name}.log").open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "devstack.keeper", str(self.folder), str(self.owner_pid), *kinds],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        record(self._keepers, name, keeper.pid)
        # It is the run's, not this process's: nobody here waits for it.
        keeper.returncode = 0


def end_abandoned_runs(parent: Path, prefix: str) -> None:
    """Ends what runs named `<prefix><pid of the owner>` have left whose owner is no more."""
    for folder in parent.glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix)
        if pid.isdigit() and start_ticks(int(pid)) is None:
            TestRun(folder, int(pid)).end()

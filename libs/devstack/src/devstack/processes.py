"""Starts programs so that they can be ended again, whatever happens to the process that started them."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devstack.leftovers import forget, record
from devstack.polling import until
from devstack.process_tree import descendants, send, stop_tree
from devstack.state import StateDirectory

Output = Callable[[str], None]

# Where nothing adopts orphans, as in a container without an init, they stay as zombies: do not wait for ever.
_GROUP_END_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = 15.0
    as_nobody: bool = False
    """For a program that refuses to run as root: started as `nobody` where this process is root."""


class RunningProgram:
    """A started program: leader of its own process group, noted in the state directory, writing to its own log."""

    def __init__(self, program: Program, state: StateDirectory, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self._state = state
        self._process = process
        self._copier: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, program: Program, state: StateDirectory, output: Output | None = None) -> "RunningProgram":
        """Starts it. Each line it writes goes to its log and, where given, to `output`.

        Call it from the main thread: the kernel ends the program when the *thread* that started it ends.
        """
        with state.log(program.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *_wrapped(program),
                env=dict(program.environment),
                cwd=program.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if output else log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches only us, and we stop things in order
                limit=1 << 20,
            )
        record(state.processes, program.name, process.pid)
        running = cls(program, state, process)
        if output:
            running._copier = asyncio.create_task(running._copy(output))
        return running

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> Path:
        return self._state.log(self.name)

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        status = await self._process.wait()
        if self._copier:
            # A grandchild may hold the pipe open after its parent has gone.
            await asyncio.wait({self._copier}, timeout=1)
        return status

    async def stop(self) -> int:
        """Asks it to end and, when the time for that is over, ends it with all of its group. Idempotent."""
        if self.exit_status is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(self.program.stop_signal)
            self.resume()  # one that is paused would not hear it
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self.program.stop_timeout_seconds)
        return await self.kill()

    async def kill(self) -> int:
        """Ends it and all of its group at once, as a power cut would."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        status = await self.wait()
        await until(self._group_is_gone, timeout_seconds=_GROUP_END_TIMEOUT_SECONDS)
        forget(self._state.processes, self.name)
        return status

    async def kill_tree(self) -> int:
        """Like `kill`, but with what it started and put into groups of their own."""
        self.pause()
        for pid in descendants(self.pid) if self.exit_status is None else ():
            send(pid, signal.SIGKILL)
        return await self.kill()

    def pause(self) -> None:
        """Freezes it with all it started, until `resume`."""
        if self.exit_status is None:
            stop_tree(self.pid)

    def resume(self) -> None:
        """Lets it go on where it was paused. Idempotent."""
        if self.exit_status is None:
            for pid in (*descendants(self.pid), self.pid):
                send(pid, signal.SIGCONT)

    async def _group_is_gone(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        return False

    async def _copy(self, output: Output) -> None:
        assert self._process.stdout is not None
        with self.log.open("ab", buffering=0) as log:
            while line := await _next_line(self._process.stdout, log):
                output(line.decode(errors="replace").rstrip("\n"))


async def _next_line(stream: asyncio.StreamReader, log: IO[bytes]) -> bytes:
    try:
        line = await stream.readline()
    except ValueError:
        line = b"(a line longer than a megabyte was left out)\n"
    log.write(line)
    return line


def _wrapped(program: Program) -> list[str]:
    """Puts `setpriv` (util-linux) before the command: the program is told to stop when this process dies, even by SIGKILL."""
    if not (setpriv := shutil.which("setpriv")):
        return list(program.command)
    options = [f"--pdeathsig={program.stop_signal.name.removeprefix('SIG')}"]
    if program.as_nobody and os.geteuid() == 0:
        # Leave to pass through closed folders: a clone in /root or in a `mktemp -d` is open to root alone.
        options += ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--securebits=+no_setuid_fixup"]
        options += ["--inh-caps=-all,+dac_override", "--ambient-caps=+dac_override"]
    return [setpriv, *options, "--", *program.command]

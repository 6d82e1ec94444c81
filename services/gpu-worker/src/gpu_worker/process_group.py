"""A child process and everything it starts, as one thing to signal and to wait for."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from gpu_worker.engine_guard import EngineGuard


class ProcessGroup(asyncio.SubprocessProtocol):
    """Leads a session of its own. Its end takes the rest of its group with it, so nothing it started is left behind."""

    def __init__(self, on_output: Callable[[bytes], None], guard: EngineGuard | None) -> None:
        self._on_output = on_output
        self._guard = guard
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int],
        on_output: Callable[[bytes], None],
        guard: EngineGuard | None,
    ) -> "ProcessGroup":
        """Start `command`; `on_output` gets what it writes to stdout and stderr, through one pipe, hence in order. `guard`, if
        given, watches it as long as it lives."""
        _, group = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(on_output, guard),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=tuple(pass_fds),
            env=dict(environment),
            start_new_session=True,
        )
        return group

    @property
    def pid(self) -> int:
        assert self._transport is not None
        return self._transport.get_pid()

    @property
    def return_code(self) -> int | None:
        """As subprocess has it: negative for the signal that ended the process, None while it runs."""
        assert self._transport is not None
        return self._transport.get_returncode()

    def terminate(self) -> None:
        """SIGTERM to the leader alone: what it started is its own to end."""
        assert self._transport is not None
        with contextlib.suppress(ProcessLookupError):
            self._transport.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group; nothing survives that but a process stuck in the kernel."""
        if not self._exited.is_set():
            self._kill_group()

    async def wait(self) -> None:
        """Until the leader is over. What it printed last has been handed to `on_output` by then."""
        await self._exited.wait()
        await asyncio.sleep(0)

    def close(self) -> None:
        """Let go of the output pipe, which a stray grandchild could hold open for ever."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        if self._guard is not None:
            self._guard.watch(self.pid)

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        self._on_output(data)

    def process_exited(self) -> None:
        self._kill_group()  # now or never: from here on the system may give the group's number to somebody else
        if self._guard is not None:
            self._guard.forget(self.pid)
        self._exited.set()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

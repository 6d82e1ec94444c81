"""One process of a service: started, watched, and started again if it ends although nobody asked it to."""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from devstack.errors import StartError
from devstack.polling import until
from devstack.processes import Output, Program, RunningProgram
from devstack.readiness import speaks_http
from devstack.state import StateDirectory

_log = logging.getLogger("devstack")

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
_STEADY_SECONDS = 20.0
"""A process that ran this long was well: its next restart does not wait longer than its first."""


class SupervisedProcess:
    """Keeps one program running between `start` and `stop`."""

    def __init__(
        self, program: Program, url: str, state: StateDirectory, *, restart_on_crash: bool, output: Output | None
    ) -> None:
        self.program = program
        self.url = url
        self._state = state
        self._restart_on_crash = restart_on_crash
        self._output = output
        self._running: RunningProgram | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._was_ready = False

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._running.pid if self._running and self._running.exit_status is None else None

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts it if it does not run, this once with `environment` added; does not wait for it to be ready."""
        if self.pid is None:
            await self._cancel_watcher()
            self._was_ready = False
            program = replace(self.program, environment={**self.program.environment, **(environment or {})})
            self._running = await RunningProgram.start(program, self._state, self._output)
            self._watcher = asyncio.create_task(self._watch(self._running))

    async def stop(self) -> None:
        """Asks it to end and waits until it and all it started have. Idempotent."""
        await self._cancel_watcher()
        if self._running:
            await self._running.stop()

    async def kill(self) -> None:
        """Ends it like a power cut would. It comes back if the stack restarts what crashes."""
        if self._running:
            await self._running.kill()

    async def wait_ended(self, timeout_seconds: float) -> int:
        """The exit status of the run that is under way, once it is over; raises `TimeoutError`."""
        if self._running is None:
            raise LookupError(f"{self.name} was never started")
        return await asyncio.wait_for(self._running.wait(), timeout_seconds)

    def pause(self) -> None:
        if self._running:
            self._running.pause()

    def resume(self) -> None:
        if self._running:
            self._running.resume()

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Returns once it answers that it is ready; raises `StartError` when it ended instead or the time is over."""
        if not await until(self._is_ready_or_over, timeout_seconds=timeout_seconds):
            raise StartError(self.name, f"was not ready within {timeout_seconds:.0f} s", self._state.log(self.name))
        if self._is_over():
            status = self._running.exit_status if self._running else None
            raise StartError(self.name, f"ended with status {status} before it was ready", self._state.log(self.name))

    async def _is_ready_or_over(self) -> bool:
        if await speaks_http(f"{self.url}/health/ready", healthy=True):
            self._was_ready = True
            return True
        return self._is_over()

    def _is_over(self) -> bool:
        """It does not run, and nobody is about to start it again."""
        return self.pid is None and (self._watcher is None or self._watcher.done())

    async def _watch(self, running: RunningProgram) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            status = await running.wait()
            await running.kill()  # what it started in turn must not outlive it
            # One that was never ready has a mistake in it: starting it again would hide the message.
            if not (self._restart_on_crash and self._was_ready):
                _log.error("%s ended with status %d", self.name, status)
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            _log.error("%s ended with status %d: starting it again in %.1f s", self.name, status, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            running = self._running = await RunningProgram.start(self.program, self._state, self._output)

    async def _cancel_watcher(self) -> None:
        if self._watcher:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None

"""A small process beside the worker that kills its engines when the worker no longer can."""

import asyncio
import contextlib
import sys
from pathlib import Path

import structlog

from gpu_worker import guard_child
from service_kit.loops import Loop

log = structlog.get_logger()

_CLOSING_SECONDS = 2.0


class EngineGuard:
    """Engines die with the worker by the kernel's hand (PR_SET_PDEATHSIG), but what they started does not; and a worker that is
    stopped, or whose event loop hangs, stops nothing while its leases lapse. Hears of the worker every so often, and kills every
    engine with all it started when it has heard nothing for the length of a lease, or the worker is gone.
    """

    def __init__(self, *, interval_seconds: float, lease_ttl_seconds: float) -> None:
        self._lease_ttl_seconds = lease_ttl_seconds
        self._groups: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._loop = Loop("engine guard", self._say_alive, interval_seconds=interval_seconds)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        await self._start_process()
        self._loop.start()

    async def close(self) -> None:
        """Ends the guard; kills what it still watches."""
        await self._loop.stop()
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._process.wait()

    def watch(self, group: int) -> None:
        """From now on the process group `group` dies with the worker."""
        self._groups.add(group)
        self._say(f"+{group}")

    def forget(self, group: int) -> None:
        """It is over. To be said before the system can give its number to somebody else."""
        self._groups.discard(group)
        self._say(f"-{group}")

    async def _say_alive(self) -> None:
        if self._process is None or self._process.returncode is not None:
            log.error("gpu_worker.engine_guard.died")
            await self._start_process()
        self._say("")

    async def _start_process(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(guard_child.__file__)), f"{self._lease_ttl_seconds}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        for group in self._groups:
            self._say(f"+{group}")

    def _say(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(f"{line}\n".encode())

"""A server that runs as a child of this process, and can be treated as badly as a data centre would."""

from collections.abc import Callable
from typing import Generic, TypeVar

from devstack.addresses import Address
from devstack.polling import Probe
from devstack.processes import Program, RunningProgram
from devstack.readiness import until_ready
from devstack.state import StateDirectory

A_co = TypeVar("A_co", bound=Address, covariant=True)


def _nothing() -> None:
    return None


class EmbeddedServer(Generic[A_co]):
    """Runs between `start` and `stop` or `kill`, as often as one likes: always at the same address, on the same data."""

    def __init__(
        self,
        address: A_co,
        program: Program,
        state: StateDirectory,
        answers: Probe,
        *,
        start_timeout_seconds: float,
        before_start: Callable[[], None] = _nothing,
        after_end: Callable[[], None] = _nothing,
        forget_everything: Callable[[], None] = _nothing,
        advice: str = "",
    ) -> None:
        self.address = address
        self._program = program
        self._state = state
        self._answers = answers
        self._start_timeout_seconds = start_timeout_seconds
        self._before_start = before_start
        self._after_end = after_end
        self._forget_everything = forget_everything
        self._advice = advice
        self._running: RunningProgram | None = None

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._running.pid if self._running and self._running.exit_status is None else None

    async def start(self) -> None:
        """Starts it if it does not run and waits until it answers; raises `StartError`."""
        if self.pid is None:
            self._before_start()
            self._running = await RunningProgram.start(self._program, self._state)
        assert self._running is not None
        await until_ready(
            self._running, self._answers, timeout_seconds=self._start_timeout_seconds, advice=self._advice
        )

    async def stop(self) -> None:
        """Shuts it down in order. Idempotent."""
        if self._running:
            await self._running.stop()
            self._after_end()

    async def kill(self) -> None:
        """Ends it with all it started, as a power cut would: what it had not written is gone. Idempotent."""
        if self._running:
            await self._running.kill_tree()
            self._after_end()

    async def reset(self) -> None:
        """Ends it like `kill`, and then it has nothing: the next `start` is its first. Not for every kind of server."""
        await self.kill()
        self._forget_everything()

    def pause(self) -> None:
        """Freezes it: its connections stay open and nothing is answered, until `resume`."""
        if self._running:
            self._running.pause()

    def resume(self) -> None:
        if self._running:
            self._running.resume()

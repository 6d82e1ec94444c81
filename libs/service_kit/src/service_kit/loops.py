"""Background loops with one way to start, stop, fail and be woken."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from service_kit.errors import is_operational, only_our_cancellation
from service_kit.metrics import LOOP_FAILURES, LOOP_LAST_SUCCESS

log = structlog.get_logger()

_LONGEST_BACKOFF_SECONDS = 5.0
"""Jobs wait for most loops: this is what an outage costs after it is over. A step every 5 s harms nothing that is down."""


class Loop:
    """Runs `step` every `interval_seconds` (± 10 %, so that replicas do not march in step) until stopped; at once, or after a
    first rest.

    A step that raises never ends the loop: it is logged and tried again, later and later up to 5 s, or to the interval if that
    is longer. `wake()` runs the next step at once.
    """

    def __init__(
        self, name: str, step: Callable[[], Awaitable[object]], *, interval_seconds: float, rest_first: bool = False
    ) -> None:
        self.name = name
        self._rest_first = rest_first
        self._step = step
        self._interval_seconds = interval_seconds
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failed = LOOP_FAILURES.labels(loop=name)

    def start(self) -> None:
        self._stopping = False
        self._note_success()
        self._task = asyncio.create_task(self._run(), name=self.name)

    def wake(self) -> None:
        self._wake.set()

    async def stop(self) -> None:
        """Cancels the loop, in the middle of a step if need be: steps are transactions and may be cut."""
        if self._task is not None:
            self._stopping = True
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        failures = 0
        if self._rest_first:
            await self._rest(failures)
        while not self._stopping:  # a step may swallow its cancellation: libraries do where they close a channel
            try:
                with only_our_cancellation():
                    await self._step()
                failures = 0
                self._note_success()
            except Exception as error:
                failures += 1
                self._failed.inc()
                if is_operational(error):
                    log.warning("loop.step.failed", loop=self.name, error=repr(error), failures=failures)
                else:
                    log.exception("loop.step.crashed", loop=self.name, failures=failures)
            if not self._stopping:
                await self._rest(failures)

    def _note_success(self) -> None:
        LOOP_LAST_SUCCESS.labels(loop=self.name).set(time.time())

    async def _rest(self, failures: int) -> None:
        longest = max(_LONGEST_BACKOFF_SECONDS, self._interval_seconds)
        seconds = min(self._interval_seconds * 2 ** min(failures, 30), longest)
        # After failures the spread is wide: what comes back must not meet all replicas at once.
        seconds *= random.uniform(0.5, 1.0) if failures else random.uniform(0.9, 1.1)  # noqa: S311  # jitter, not a secret
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

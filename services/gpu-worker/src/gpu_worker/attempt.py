"""An attempt that this worker has claimed: what it is, how far it is, and how to stop it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.attempts import RunAttempt
from contracts.cloudevents import CloudEvent
from contracts.failures import FailureCode
from contracts.ids import AttemptId
from gpu_worker.attempt_spans import AttemptSpans
from gpu_worker.engine_process import EngineProcess
from gpu_worker.failures import AttemptError
from gpu_worker.lease_clock import lease_time
from gpu_worker.progress import Progress


class Attempt:
    """Held from its claim until its outcome is confirmed. Runs once, in one task; `stop` may come at any moment from another."""

    def __init__(self, event: CloudEvent[RunAttempt], *, cancel_grace_seconds: float) -> None:
        self.task = event.data
        self.spans = AttemptSpans(event)
        self.progress = Progress(on_left=self.spans.stage_left)
        self.claimed_at = lease_time()
        self._cancel_grace_seconds = cancel_grace_seconds
        self._ending: AttemptError | None = None
        self._decided = False
        self._runner: asyncio.Task[object] | None = None
        self._engine: EngineProcess | None = None
        self._out_of_time: asyncio.Task[None] | None = None

    @property
    def attempt_id(self) -> AttemptId:
        return self.task.attempt_id

    @property
    def traceparent(self) -> str | None:
        return self.spans.context

    @property
    def is_stoppable(self) -> bool:
        return self._ending is None and not self._decided

    @property
    def is_lost(self) -> bool:
        """It was stopped because it belongs to another worker by now."""
        return self._ending is not None and self._ending.code is FailureCode.WORKER_LOST

    async def stop(self, code: FailureCode, message: str) -> None:
        """Makes the attempt fail with this code. The first to stop it says why; one whose outcome is decided is past stopping."""
        if not self.is_stoppable:
            return
        self._ending = AttemptError(code, message)
        if self._engine is not None:
            await self._engine.cancel(self._cancel_grace_seconds)
        elif self._runner is not None:
            self._runner.cancel()

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Around the work: raises AttemptError with the reason of `stop`, also if the work was done in that very moment."""
        self._runner = asyncio.current_task()
        try:
            self._check()
            yield
            self._check()
        except (asyncio.CancelledError, Exception) as error:
            if self._ending is None:
                raise
            if isinstance(error, asyncio.CancelledError) and self._runner is not None:
                self._runner.uncancel()  # the task goes on, to report the outcome
            raise self._ending from None
        finally:
            self._decided = True
            self._runner = None

    @contextmanager
    def generating(self, engine: EngineProcess) -> Iterator[None]:
        """Around the engine's run: stopping now means the engine, gently first; so does running out of time."""
        timer = asyncio.get_running_loop().call_later(self.task.execution_timeout_seconds, self._run_out_of_time)
        self._engine = engine
        try:
            yield
            self._check()  # stopped in the moment in which the engine was done: nothing is stored
        finally:
            self._engine = None
            timer.cancel()

    def _run_out_of_time(self) -> None:
        message = f"the attempt ran longer than the {self.task.execution_timeout_seconds:g} s it may take"
        self._out_of_time = asyncio.create_task(self.stop(FailureCode.EXECUTION_TIMEOUT, message))

    def _check(self) -> None:
        if self._ending is not None:
            raise self._ending

"""A model's warm engine processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from contracts.failures import FailureCode
from gpu_worker.engine_process import EngineProcess
from gpu_worker.engines.base import EngineFailure
from gpu_worker.metrics import engine_starts


class EnginePool:
    """Up to `size` processes of one engine, started when first needed, the warmest used first, the dead replaced."""

    def __init__(self, new_engine: Callable[[], EngineProcess], *, size: int) -> None:
        """`new_engine` makes a process that has not been started."""
        self._new_engine = new_engine
        self._places = asyncio.Semaphore(size)
        self._warm: list[EngineProcess] = []
        self._busy: set[EngineProcess] = set()
        self._ended = 0
        """Processes that ended and were not replaced yet."""
        self._closed = False

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[EngineProcess]:
        """An engine of one's own, waiting for a free place if need be.

        Raises EngineFailure: ENGINE_UNAVAILABLE if a process had to be started and could not be, WORKER_SHUTDOWN once closed.
        """
        async with self._places:
            engine = await self._take_warm() or self._new_engine()
            self._busy.add(engine)
            try:
                if not engine.alive:
                    self._count_start(engine)
                    await engine.start()
                yield engine
            finally:
                self._busy.discard(engine)
                await self._put_back(engine)

    async def close(self) -> None:
        """Stop every process, busy ones too, whose attempts fail with WORKER_SHUTDOWN. Idempotent."""
        self._closed = True
        engines = [*self._warm, *self._busy]
        self._warm.clear()
        await asyncio.gather(*(engine.stop() for engine in engines))

    async def _take_warm(self) -> EngineProcess | None:
        if self._closed:
            raise EngineFailure(FailureCode.WORKER_SHUTDOWN, "the worker is shutting down")
        while self._warm:
            engine = self._warm.pop()
            if engine.alive:
                return engine
            self._ended += 1
            await engine.stop()  # died while idle: let go of what is left of it
        return None

    async def _put_back(self, engine: EngineProcess) -> None:
        if engine.alive and not self._closed:
            self._warm.append(engine)
        else:
            self._ended += 1
            await engine.stop()

    def _count_start(self, engine: EngineProcess) -> None:
        engine_starts(engine.engine, "replacement" if self._ended else "first").inc()
        self._ended = max(self._ended - 1, 0)

"""Group commit: whatever arrives while one batch is under way makes up the next one.

Idle, an item is processed at once and alone; under load the batch grows by itself to what one round trip costs. There is no
timer and so no artificial delay. Source of the idea: DeWitt et al., "Implementation Techniques for Main Memory Database
Systems", SIGMOD 1984, section 5.2.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from service_kit.errors import OperationalError, is_operational, only_our_cancellation

T = TypeVar("T")
R = TypeVar("R")


class ShuttingDownError(OperationalError):
    """The service is stopping and takes no more work."""


class Batcher(Generic[T, R]):
    """Hands items to `process` in batches of at most `max_batch`, one batch at a time, in order of arrival.

    `process` answers with one result per item. If it raises something operational, every item of the batch gets that error. If it
    raises anything else, the batch is halved and tried again, so that one item that cannot be processed does not fail its
    neighbours: `process` must therefore be atomic.
    """

    def __init__(self, process: Callable[[list[T]], Awaitable[Sequence[R]]], *, max_batch: int) -> None:
        self._process = process
        self._max_batch = max_batch
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._drain: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, item: T) -> R:
        """The item's result, once its batch is done."""
        return await self._enqueue(item)

    async def submit_all(self, items: Iterable[T]) -> list[R]:
        """The items' results, in order. Raises the first item's error once all of them are done."""
        futures = [self._enqueue(item) for item in items]
        if not futures:
            return []
        await asyncio.wait(futures)
        return [future.result() for future in futures]

    async def close(self) -> None:
        """Refuses new items and finishes those already taken."""
        self._closed = True
        if self._drain is not None:
            await asyncio.wait([self._drain])

    def _enqueue(self, item: T) -> asyncio.Future[R]:
        if self._closed:
            raise ShuttingDownError
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._drain is None or self._drain.done():
            # In a context of its own: a batch is of many, and neither the ids nor the trace of whoever came first are its own.
            self._drain = asyncio.create_task(self._drain_waiting(), context=Context())
        return future

    async def _drain_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
            # A caller that gave up no longer needs an answer, but its item still counts: it may be half of a promise.
            await self._run(batch)

    async def _run(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            with only_our_cancellation():
                results = await self._process([item for item, _ in batch])
            answers = list(zip(batch, results, strict=True))  # one result per item is the contract
        except Exception as error:
            if len(batch) == 1 or is_operational(error):
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # a caller that gave up must not leave a warning behind
                return
            middle = len(batch) // 2
            await self._run(batch[:middle])
            await self._run(batch[middle:])
            return
        for (_, future), result in answers:
            if not future.done():
                future.set_result(result)

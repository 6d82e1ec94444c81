"""How all sweeps go: claim what is due, remove its objects, then forget its rows.

Killed half-way, a sweep leaves a row without an object, which the next one takes again – never an object without a row, which
nobody would find.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from artifacts.metrics import SWEEP_BACKLOG, SWEEP_SECONDS, SWEPT_BYTES, SWEPT_OBJECTS
from artifacts.object_store import ObjectStore
from contracts.ids import ObjectName
from service_kit.crash_points import crash_point

log = structlog.get_logger()

_BATCH = 100
_AT_ONCE = 4
"""Of a hundred connections to the store: sweeps wait for requests, not the other way round."""

T = TypeVar("T")


class Removal:
    """Removes objects and counts them."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.count = 0
        self.size_bytes = 0

    async def remove(self, object_name: ObjectName, size_bytes: int) -> None:
        await self._objects.delete(object_name)
        self.count += 1
        self.size_bytes += size_bytes


@dataclass(frozen=True, slots=True)
class Sweep(Generic[T]):
    """A step for a `Loop`. Replicas may run it at the same time: each claims other things."""

    name: str
    objects: ObjectStore
    count_due: Callable[[], Awaitable[int]]
    claim: Callable[[int], Awaitable[Sequence[T]]]
    """At most so many; nobody else gets them before the claim has lapsed."""
    remove: Callable[[T, Removal], Awaitable[None]]
    """Removes the objects of one. May be repeated."""
    forget: Callable[[Sequence[T]], Awaitable[None]]
    """Removes the rows of those whose objects are gone."""

    async def __call__(self) -> None:
        """Sweeps until nothing is due. Raises `StorageUnavailableError` once what was removed until then is forgotten too."""
        SWEEP_BACKLOG.labels(self.name).set(await self.count_due())
        while claimed := await self.claim(_BATCH):
            await self._sweep(claimed)
        SWEEP_BACKLOG.labels(self.name).set(0)

    async def _sweep(self, claimed: Sequence[T]) -> None:
        started_at = time.monotonic()
        removal, gone, waiting = Removal(self.objects), list[T](), iter(claimed)
        # Each of them ends at its first failure: with a store that hangs, a batch must not wait a hundred times.
        workers = (self._remove_each(waiting, removal, gone) for _ in range(_AT_ONCE))
        failures = await asyncio.gather(*workers, return_exceptions=True)
        crash_point(f"artifacts.after_delete_before_forget_{self.name}")
        if gone:
            await self.forget(gone)
        SWEPT_OBJECTS.labels(self.name).inc(removal.count)
        SWEPT_BYTES.labels(self.name).inc(removal.size_bytes)
        seconds = time.monotonic() - started_at
        SWEEP_SECONDS.labels(self.name).observe(seconds)
        log.info(
            "artifacts.sweep.completed",
            sweep=self.name,
            swept=len(gone),
            claimed=len(claimed),
            objects=removal.count,
            size_bytes=removal.size_bytes,
            duration_ms=round(seconds * 1000),
        )
        for failure in failures:
            if failure is not None:
                raise failure

    async def _remove_each(self, waiting: Iterator[T], removal: Removal, gone: list[T]) -> None:
        for item in waiting:
            await self.remove(item, removal)
            gone.append(item)

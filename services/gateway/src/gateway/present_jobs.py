"""Completes views with what only this moment knows: the progress heard, the place in the queue."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.ids import JobId, ModelId
from contracts.states import JobStatus
from gateway.job_view import JobView, job_body
from gateway.progress import ProgressBoard
from gateway.queue_order import queue_positions
from gateway.store.job_views import JobViewReader
from service_kit.errors import is_operational

_LONGEST_QUEUE_READ = 2_000
"""Whoever waits behind more jobs than that has no known position: reading a queue costs 5 µs a job of the event loop's time."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    read_at: float
    positions: Mapping[JobId, int]


class PresentJobs:
    """A queue is read at most once per `refresh_seconds` and model, and only when somebody asks."""

    def __init__(self, views: JobViewReader, progress: ProgressBoard, *, refresh_seconds: float) -> None:
        self._views = views
        self._progress = progress
        self._refresh_seconds = refresh_seconds
        self._snapshots: dict[ModelId, asyncio.Future[_Snapshot]] = {}

    def new(self, view: JobView) -> dict[str, Any]:
        """A job that was asked for this moment: its place in the queue is not known yet."""
        return job_body(view, progress=None, queue_position=None)

    async def one(self, view: JobView, *, cancel_requested: bool = False) -> dict[str, Any]:
        """The job as the REST contract has it. `cancel_requested`: was asked for just now, the view may not know."""
        progress = self._progress.of(view.id, view.attempt)
        if view.is_over:
            self._progress.forget(view.id)
        return job_body(
            view,
            progress=progress,
            queue_position=await self._position(view),
            cancel_requested=cancel_requested and not view.is_over,
        )

    async def many(self, views: Sequence[JobView]) -> list[dict[str, Any]]:
        return [await self.one(view) for view in views]

    async def _position(self, view: JobView) -> int | None:
        if view.status is not JobStatus.QUEUED:
            return None
        try:
            return (await self._snapshot(view.model_id)).positions.get(view.id)
        except Exception as error:
            if not is_operational(error):
                raise
            return None  # the answer to a cancel that was recorded, say, must not fail for want of a number

    async def _snapshot(self, model_id: ModelId) -> _Snapshot:
        reading = self._snapshots.get(model_id)
        if reading is None or (reading.done() and not self._is_fresh(reading)):
            reading = asyncio.ensure_future(self._read(model_id))
            self._snapshots[model_id] = reading
        return await asyncio.shield(reading)  # others wait for the same reading

    def _is_fresh(self, reading: asyncio.Future[_Snapshot]) -> bool:
        failed = reading.cancelled() or reading.exception() is not None
        return not failed and time.monotonic() - reading.result().read_at < self._refresh_seconds

    async def _read(self, model_id: ModelId) -> _Snapshot:
        read_at = time.monotonic()
        waiting = await self._views.waiting(model_id, limit=_LONGEST_QUEUE_READ)
        return _Snapshot(read_at, queue_positions(waiting))

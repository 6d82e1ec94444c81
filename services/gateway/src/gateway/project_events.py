"""Keeps the read model up to date with what the orchestrator says, a batch of events at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from contracts.jobs import JobEvent
from gateway.job_view import fold
from gateway.metrics import PROJECTION_BATCH, PROJECTION_DELAY_SECONDS, PROJECTION_LAG_SECONDS
from gateway.progress import ProgressBoard
from gateway.projection_lag import ProjectionLag
from gateway.store.job_view_writes import JobViewWriter
from service_kit.batcher import Batcher


class ProjectEvents:
    """Whatever arrives while one batch is written makes up the next.

    What happened longer than `forgotten_after` ago (None: no limit) is ignored: an event that late must not bring back, half or
    whole, a job that retention has removed.
    """

    def __init__(self, views: JobViewWriter, progress: ProgressBoard, *, forgotten_after: timedelta | None) -> None:
        self._views = views
        self._progress = progress
        self._forgotten_after = forgotten_after
        self._batches: Batcher[JobEvent, None] = Batcher(self._project, max_batch=500)
        self._lag = ProjectionLag()
        PROJECTION_LAG_SECONDS.set_function(self._lag.seconds)

    async def __call__(self, events: Sequence[JobEvent]) -> None:
        """Returns once the events are in the database; only then may their messages be acknowledged."""
        if self._forgotten_after is not None:
            remembered_since = datetime.now(UTC) - self._forgotten_after
            events = [event for event in events if event.occurred_at >= remembered_since]
        with self._lag.holding(events):
            await self._batches.submit_all(events)

    async def close(self) -> None:
        await self._batches.close()

    async def _project(self, events: Sequence[JobEvent]) -> list[None]:
        changes = fold(events)
        heard = {
            change.newest.job_id: progress
            for change in changes
            if (progress := self._progress.of(change.newest.job_id, change.newest.state.attempt)) is not None
        }
        await self._views.apply(events, changes, heard)
        for change in changes:
            if change.newest.state.status.is_terminal:
                self._progress.forget(change.newest.job_id)
        PROJECTION_BATCH.observe(len(events))
        oldest = min(event.occurred_at for event in events)
        PROJECTION_DELAY_SECONDS.observe(max(0.0, (datetime.now(UTC) - oldest).total_seconds()))
        return [None] * len(events)

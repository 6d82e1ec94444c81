"""Every few seconds: how many jobs wait and run, for how long, on how many workers – as PostgreSQL has it, for the metrics."""

import math
import time
from collections.abc import Iterable

from contracts.ids import ModelId
from contracts.states import JobStatus
from orchestrator import metrics, store
from orchestrator.availability import MISSED_HEARTBEATS
from orchestrator.freshness import Freshness
from orchestrator.scheduling import window
from orchestrator.store import ModelCensus
from service_kit.database import Pool

_SHARE = 50
"""A census takes a fiftieth of the time at most: where a million jobs wait, it is taken every 20 s or so."""


class TakeCensus:
    """One step takes it. The metrics' help texts say what each gauge means."""

    def __init__(
        self, pool: Pool, *, window_per_slot: float, lease_ttl_seconds: float, stale_after_seconds: float
    ) -> None:
        self.models: frozenset[ModelId] = frozenset()
        """Those the latest census found: with a job that is not over, or a worker."""
        self._pool = pool
        self._window_per_slot = window_per_slot
        self._lease_ttl_seconds = lease_ttl_seconds
        self._not_before = 0.0
        self._freshness = Freshness("jobs", _remove, stale_after_seconds=stale_after_seconds)

    async def __call__(self) -> None:
        began = time.monotonic()
        if began < self._not_before:
            return
        try:
            with self._freshness.renewed():
                async with self._pool.acquire() as connection:
                    counted, unpublished_seconds = await store.census(
                        connection, missed_heartbeats=MISSED_HEARTBEATS, lease_ttl_seconds=self._lease_ttl_seconds
                    )
        finally:
            self._not_before = began + _SHARE * (time.monotonic() - began)
        self.models = frozenset(model.model_id for model in counted)
        self._show(counted, unpublished_seconds)

    def _show(self, counted: Iterable[ModelCensus], unpublished_seconds: float) -> None:
        """Without a break: whoever reads the page meanwhile sees the former census or this one, and no model that is gone."""
        _remove()
        metrics.RELAY_LAG_SECONDS.set(unpublished_seconds)
        for model in counted:
            model_id = model.model_id
            metrics.JOBS.labels(model=model_id, state=JobStatus.QUEUED).set(model.queued)
            metrics.JOBS.labels(model=model_id, state=JobStatus.RUNNING).set(model.running)
            metrics.BACKLOG.labels(model=model_id).set(model.backlog)
            metrics.OLDEST_QUEUED_SECONDS.labels(model=model_id).set(model.oldest_queued_seconds)
            metrics.LEASE_AGE_SECONDS.labels(model=model_id).set(model.unrenewed_seconds)
            metrics.DISPATCHED.labels(model=model_id).set(model.dispatched)
            metrics.DISPATCH_WINDOW.labels(model=model_id).set(window(model.slots, self._window_per_slot))
            metrics.LIVE_WORKERS.labels(model=model_id).set(model.workers)
            metrics.LIVE_SLOTS.labels(model=model_id).set(model.slots)


def _remove() -> None:
    for gauge in metrics.CENSUS_OF_JOBS:
        gauge.clear()
    metrics.RELAY_LAG_SECONDS.set(math.nan)  # it has no labels, and so no way to be absent

"""Retention: what has been over for long enough is removed, a batch at a time and beside the way of running jobs."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from orchestrator import store
from orchestrator.metrics import REMOVED
from service_kit.database import Connection, Pool

log = structlog.get_logger()

_BATCH = 500

Remove = Callable[[Connection, timedelta, int], Awaitable[int]]


class ForgetOldJobs:
    """Removes logs, then whole jobs, that have been over for longer than their retention. None keeps them for ever.

    Replicas may run it at the same time: each takes other jobs.
    """

    def __init__(self, pool: Pool, *, keep_logs: timedelta | None, keep_jobs: timedelta | None) -> None:
        self._pool = pool
        # A job goes after its log, so a log cannot outlive its job.
        self._keep_logs = min((kept for kept in (keep_logs, keep_jobs) if kept is not None), default=None)
        self._keep_jobs = keep_jobs

    async def __call__(self) -> None:
        if self._keep_logs is not None:
            await self._remove("logs", store.remove_logs, self._keep_logs)
        if self._keep_jobs is not None:
            await self._remove("jobs", store.remove_jobs, self._keep_jobs)

    async def _remove(self, what: str, remove: Remove, over_for: timedelta) -> None:
        removed = _BATCH
        while removed == _BATCH:
            async with self._pool.acquire() as connection:
                removed = await remove(connection, over_for, _BATCH)
            if removed:
                REMOVED.labels(what=what).inc(removed)
                log.info("orchestrator.retention.removed", what=what, count=removed)

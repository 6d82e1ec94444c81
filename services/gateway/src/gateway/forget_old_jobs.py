"""Retention: what has been over for long enough is removed, a batch at a time and beside the way of requests."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from gateway.metrics import REMOVED
from gateway.store.retention import Retention

log = structlog.get_logger()

_BATCH = 500
_PAUSE_SECONDS = 0.1
"""Between batches: whatever waits for the database meanwhile goes first."""
_KEYS_WITHOUT_JOB = timedelta(days=7)
"""A client that has not sent its request again by then will not do so."""

Remove = Callable[[timedelta, int], Awaitable[int]]


class ForgetOldJobs:
    """Removes logs, then whole jobs, that have been over for longer than their retention; zero keeps them for ever."""

    def __init__(self, retention: Retention, *, keep_logs: timedelta, keep_jobs: timedelta) -> None:
        self._retention = retention
        # A job goes after its log, so a log cannot outlive its job.
        self._keep_logs = min((kept for kept in (keep_logs, keep_jobs) if kept), default=timedelta(0))
        self._keep_jobs = keep_jobs

    async def __call__(self) -> None:
        await self._remove("unused_keys", self._retention.remove_unused_keys, _KEYS_WITHOUT_JOB)
        if self._keep_logs:
            await self._remove("logs", self._retention.remove_logs, self._keep_logs)
        if self._keep_jobs:
            await self._remove("jobs", self._retention.remove_jobs, self._keep_jobs)
            await self._remove("never_known", self._retention.remove_never_known, self._keep_jobs)

    async def _remove(self, what: str, remove: Remove, age: timedelta) -> None:
        while removed := await remove(age, _BATCH):
            REMOVED.labels(what).inc(removed)
            log.info("gateway.retention.removed", what=what, count=removed)
            if removed < _BATCH:
                break
            await asyncio.sleep(_PAUSE_SECONDS)

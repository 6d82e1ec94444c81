"""Retention, as the services that keep jobs have it: a batch at a time, and beside the way of everything else."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from service_kit.metrics import RETENTION_REMOVED

log = structlog.get_logger()

_BATCH = 500
_PAUSE_SECONDS = 0.1
"""Between batches: whatever waits for the database meanwhile goes first."""


def log_retention(*, keep_logs: timedelta | None, keep_jobs: timedelta | None) -> timedelta | None:
    """How long the log of a job stays: a job goes after its log, so no log outlives its job. None: for ever."""
    return min((kept for kept in (keep_logs, keep_jobs) if kept is not None), default=None)


async def remove_in_batches(what: str, remove: Callable[[int], Awaitable[int]]) -> None:
    """Calls `remove` with the size of a batch until it answers that it found fewer."""
    while removed := await remove(_BATCH):
        RETENTION_REMOVED.labels(what=what).inc(removed)
        log.info("retention.batch.removed", what=what, count=removed)
        if removed < _BATCH:
            break
        await asyncio.sleep(_PAUSE_SECONDS)

"""Retention: what has been over for long enough is removed."""

from datetime import timedelta

from orchestrator import store
from service_kit.database import Pool
from service_kit.retention import log_retention, remove_in_batches


class ForgetOldJobs:
    """Removes logs, then whole jobs, that have been over for longer than their retention. None keeps them for ever.

    Replicas may run it at the same time: each takes other jobs.
    """

    def __init__(self, pool: Pool, *, keep_logs: timedelta | None, keep_jobs: timedelta | None) -> None:
        self._pool = pool
        self._keep_logs = log_retention(keep_logs=keep_logs, keep_jobs=keep_jobs)
        self._keep_jobs = keep_jobs

    async def __call__(self) -> None:
        if self._keep_logs is not None:
            await remove_in_batches("logs", self._remove_logs)
        if self._keep_jobs is not None:
            await remove_in_batches("jobs", self._remove_jobs)

    async def _remove_logs(self, limit: int) -> int:
        assert self._keep_logs is not None
        async with self._pool.acquire() as connection:
            return await store.remove_logs(connection, self._keep_logs, limit)

    async def _remove_jobs(self, limit: int) -> int:
        assert self._keep_jobs is not None
        async with self._pool.acquire() as connection:
            return await store.remove_jobs(connection, self._keep_jobs, limit)

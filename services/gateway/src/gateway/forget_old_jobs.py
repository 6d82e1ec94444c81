"""Retention: what has been over for long enough is removed."""

from datetime import timedelta
from functools import partial

from gateway.store.retention import Retention
from service_kit.retention import log_retention, remove_in_batches

_KEYS_WITHOUT_JOB = timedelta(days=7)
"""A client that has not sent its request again by then will not do so."""


class ForgetOldJobs:
    """Removes logs, then whole jobs, that have been over for longer than their retention. None keeps them for ever."""

    def __init__(self, retention: Retention, *, keep_logs: timedelta | None, keep_jobs: timedelta | None) -> None:
        self._retention = retention
        self._keep_logs = log_retention(keep_logs=keep_logs, keep_jobs=keep_jobs)
        self._keep_jobs = keep_jobs

    async def __call__(self) -> None:
        await remove_in_batches("unused_keys", partial(self._retention.remove_unused_keys, _KEYS_WITHOUT_JOB))
        if self._keep_logs is not None:
            await remove_in_batches("logs", partial(self._retention.remove_logs, self._keep_logs))
        if self._keep_jobs is not None:
            await remove_in_batches("jobs", partial(self._retention.remove_jobs, self._keep_jobs))
            await remove_in_batches("never_known", partial(self._retention.remove_never_known, self._keep_jobs))

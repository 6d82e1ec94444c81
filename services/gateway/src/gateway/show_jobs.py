"""Writes the views of jobs that were just asked for, and keeps those that cannot be written now.

A job the broker has confirmed exists, whether it can be shown or not. But until its view is written nothing could say its request
again, should the broker lose it: so the request is kept in memory and written as soon as the database takes it.
"""

import asyncio
from collections.abc import Sequence

import structlog

from contracts.ids import JobId
from contracts.jobs import JobSpec
from gateway.metrics import JOBS_NOT_SHOWN
from gateway.store.job_view_writes import JobViewWriter
from service_kit.batcher import Batcher
from service_kit.errors import is_operational
from service_kit.problems import unavailable

log = structlog.get_logger()

_MAX_BATCH = 100
_LAST_TRY_SECONDS = 5.0


class ShowJobs:
    def __init__(self, views: JobViewWriter, *, republish_after_seconds: float, max_kept: int = 10_000) -> None:
        self._views = views
        self._republish_after_seconds = republish_after_seconds
        self._max_kept = max_kept
        self._showing: Batcher[JobSpec, bool] = Batcher(self._write, max_batch=_MAX_BATCH)
        self._kept: dict[JobId, JobSpec] = {}

    def check_room(self) -> None:
        """Raises 503 if too many jobs are kept already: a promise that nothing remembers must not be made."""
        if len(self._kept) >= self._max_kept:
            raise unavailable("The job could not be recorded, so it was not handed over. Try again shortly.")

    async def __call__(self, job: JobSpec) -> bool:
        """Whether the job is new here. Never raises: the job exists, and its owner is to be told so."""
        try:
            return await self._showing.submit(job)
        except Exception as error:
            if is_operational(error):
                log.warning("gateway.job.not_shown", job_id=str(job.job_id), error=repr(error))
            else:
                log.exception("gateway.job.not_shown", job_id=str(job.job_id))
            self._kept[job.job_id] = job
            JOBS_NOT_SHOWN.set(len(self._kept))
            return True

    async def write_kept(self) -> None:
        """Tries once more. Raises the first error, having written what could be written."""
        kept = list(self._kept.values())
        results = await asyncio.gather(*(self._showing.submit(job) for job in kept), return_exceptions=True)
        failures = []
        for job, result in zip(kept, results, strict=True):
            if isinstance(result, BaseException):
                failures.append(result)
            else:
                self._kept.pop(job.job_id, None)
        JOBS_NOT_SHOWN.set(len(self._kept))
        if len(failures) < len(kept):
            log.info("gateway.job.shown_late", count=len(kept) - len(failures))
        if failures:
            raise failures[0]

    async def close(self) -> None:
        """Finishes what is under way, and tries once more what is kept."""
        try:
            async with asyncio.timeout(_LAST_TRY_SECONDS):
                await self.write_kept()
        except Exception as error:
            # From here on only the bus knows of them: job.queued will show them.
            log.exception("gateway.job.never_shown", job_ids=[str(job_id) for job_id in self._kept], error=repr(error))
        await self._showing.close()

    async def _write(self, jobs: Sequence[JobSpec]) -> list[bool]:
        new = await self._views.insert_requested(jobs, republish_after_seconds=self._republish_after_seconds)
        answers = []
        for job in jobs:
            answers.append(job.job_id in new)
            new.discard(job.job_id)  # of two in one batch with the same id, the first made the row
        return answers

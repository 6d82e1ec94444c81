"""Tells how the attempts that take their time are getting on."""

import asyncio

import structlog

from gpu_worker.attempt import Attempt
from gpu_worker.held_attempts import HeldAttempts
from gpu_worker.reports import Reports
from service_kit.errors import OperationalError
from service_kit.loops import Loop

log = structlog.get_logger()


class ProgressReports:
    """One look at all attempts every so often, not a timer each: an attempt that is over in between costs nothing.

    Stages are logged for good once they have lasted `stage_report_after_ms`; the percentages of a moment travel in one message.
    """

    def __init__(
        self, held: HeldAttempts, reports: Reports, *, stage_report_after_ms: float, progress_interval_ms: float
    ) -> None:
        self._held = held
        self._reports = reports
        self._stage_report_after_ms = stage_report_after_ms
        self._progress_interval_ms = progress_interval_ms
        interval_ms = max(10.0, min(stage_report_after_ms, progress_interval_ms) / 2)
        self._loop = Loop("progress", self._tell, interval_seconds=interval_ms / 1000)

    def start(self) -> None:
        self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _tell(self) -> None:
        try:
            await asyncio.gather(*(self._tell_stage(attempt) for attempt in self._held))
            await self._tell_percentages()
        except OperationalError as error:
            # Not raised: the loop would wait longer and longer, and what is told is the latest in any case.
            log.debug("gpu_worker.progress.not_heard", error=repr(error))

    async def _tell_stage(self, attempt: Attempt) -> None:
        stage = attempt.progress.stage_to_tell(self._stage_report_after_ms)
        if stage is not None:
            await self._reports.stage_changed(attempt, stage)
            attempt.progress.stage_told(stage)

    async def _tell_percentages(self) -> None:
        news = [(attempt, attempt.progress.percent_to_tell(self._progress_interval_ms)) for attempt in self._held]
        latest = [(attempt, *told) for attempt, told in news if told is not None]
        if latest:
            await self._reports.progressed(latest)

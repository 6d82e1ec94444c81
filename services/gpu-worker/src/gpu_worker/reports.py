"""What the worker says about its attempts. Whatever is to be said at the same moment travels together."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar

import structlog

from contracts.attempts import (
    AbortAttempt,
    AttemptFailed,
    AttemptProgressed,
    AttemptReport,
    AttemptStageChanged,
    AttemptStarted,
    AttemptSucceeded,
    RunAttempt,
)
from contracts.cloudevents import CloudEvent, wrap
from contracts.failures import FailureCode
from contracts.ids import WorkerId
from contracts.outputs import OutputFile
from contracts.states import Stage
from gpu_worker.attempt import Attempt
from gpu_worker.failures import storable
from gpu_worker.held_attempts import OutcomeEvent
from service_kit.backoff import growing_pauses
from service_kit.batcher import Batcher, ShuttingDownError
from service_kit.bus import Bus
from service_kit.errors import OperationalError
from service_kit.logging.ids import ids_of

log = structlog.get_logger()

R = TypeVar("R", bound=AttemptReport)

_IN_ORDER_OF_A_LIFE: tuple[type[AttemptReport], ...] = (
    AttemptStarted,
    AttemptStageChanged,
    AttemptSucceeded,
    AttemptFailed,
)
_MAX_BATCH = 500
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0


class Reports:
    """Durable reports are confirmed by the broker before their method returns; ids are stable, so one may be said twice."""

    def __init__(self, bus: Bus, worker_id: WorkerId) -> None:
        self._bus = bus
        self._worker_id = worker_id
        self._source = f"/gpu-worker/{worker_id}"
        self._batcher: Batcher[CloudEvent[Any], None] = Batcher(self._publish, max_batch=_MAX_BATCH)
        self._numbers = count(1)

    async def started(self, attempts: Sequence[Attempt]) -> None:
        """Raises OperationalError if that was not confirmed; it may have been heard all the same."""
        events = [self._event(attempt, "started", AttemptStarted(**self._who(attempt.task))) for attempt in attempts]
        if len(events) == 1:
            await self._batcher.submit(events[0])
        else:
            await self._batcher.submit_all(events)

    async def stage_changed(self, attempt: Attempt, stage: Stage) -> None:
        """Raises OperationalError if that was not confirmed."""
        report = AttemptStageChanged(stage=stage, **self._who(attempt.task))
        await self._batcher.submit(self._event(attempt, f"stage/{stage}", report))

    def succeeded(
        self, attempt: Attempt, outputs: tuple[OutputFile, ...], facts: dict[str, float]
    ) -> CloudEvent[AttemptSucceeded]:
        """The event, not yet said."""
        durations = {stage: round(ms, 3) for stage, ms in attempt.progress.durations_ms.items()}
        report = AttemptSucceeded(outputs=outputs, stage_durations_ms=durations, facts=facts, **self._who(attempt.task))
        return self._event(attempt, "succeeded", report)

    def failed(self, attempt: Attempt, code: FailureCode, message: str) -> CloudEvent[AttemptFailed]:
        """The event, not yet said."""
        report = AttemptFailed(code=code, message=storable(message), **self._who(attempt.task))
        return self._event(attempt, "failed", report)

    async def not_held(self, abort: AbortAttempt) -> None:
        """That an attempt which is to be stopped is not here. As patient as `outcome`."""
        message = "the worker was told to stop an attempt that it does not hold"
        report = AttemptFailed(code=abort.reason, message=message, **self._who(abort))
        await self.outcome(self._event(abort, "not-held", report))

    async def outcome(self, event: OutcomeEvent) -> None:
        """Returns once the broker has it, however long that takes: hours of work must not be lost to a broker's restart. Raises
        `ShuttingDownError` after `close`."""
        for pause_seconds in growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS):
            try:
                await self._batcher.submit(event)
            except ShuttingDownError:
                raise  # from here on nothing is said any more
            except OperationalError as error:
                log.warning("gpu_worker.outcome.delayed", **ids_of([event]), error=repr(error))
                await asyncio.sleep(pause_seconds)
            else:
                return

    async def progressed(self, latest: Sequence[tuple[Attempt, Stage, float]]) -> None:
        """Telemetry: whoever listens gets it, and no more is promised."""
        events = [
            self._event(
                attempt,
                f"progress/{next(self._numbers)}",
                AttemptProgressed(
                    attempt=attempt.task.attempt, stage=stage, percent=round(percent, 2), **self._who(attempt.task)
                ),
            )
            for attempt, stage, percent in latest
        ]
        await self._bus.publish(AttemptProgressed, events, durable=False)

    async def close(self) -> None:
        await self._batcher.close()

    async def _publish(self, batch: list[CloudEvent[Any]]) -> list[None]:
        by_type: dict[type[AttemptReport], list[CloudEvent[Any]]] = defaultdict(list)
        for event in batch:
            by_type[type(event.data)].append(event)
        publishing = [self._bus.publish(kind, by_type[kind]) for kind in _IN_ORDER_OF_A_LIFE if kind in by_type]
        for result in await asyncio.gather(*publishing, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        return [None] * len(batch)

    def _who(self, attempt: RunAttempt | AbortAttempt) -> dict[str, Any]:
        return {
            "job_id": attempt.job_id,
            "attempt_id": attempt.attempt_id,
            "worker_id": self._worker_id,
            "reported_at": datetime.now(UTC),
        }

    def _event(self, attempt: Attempt | AbortAttempt, suffix: str, report: R) -> CloudEvent[R]:
        telemetry = isinstance(report, AttemptProgressed)  # twice a second, for hours: no trace has room for that
        return wrap(
            report,
            event_id=f"{attempt.attempt_id}/{suffix}",
            source=self._source,
            subject=str(report.job_id),
            time=report.reported_at,
            traceparent=attempt.traceparent if isinstance(attempt, Attempt) and not telemetry else None,
        )

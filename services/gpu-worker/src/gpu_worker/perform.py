"""What is done with a delivery: claim it, acknowledge it, run it, say what became of it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import assert_never

import structlog

from contracts.attempts import RunAttempt
from contracts.cloudevents import CloudEvent
from gpu_worker.attempt import Attempt
from gpu_worker.delivery import Delivery
from gpu_worker.held_attempts import HeldAttempts, OutcomeEvent
from gpu_worker.metrics import DUPLICATES, attempts_ended, stage_seconds
from gpu_worker.reports import Reports
from gpu_worker.run_attempt import Failed, Outcome, Succeeded, Tools, run_attempt

log = structlog.get_logger()

FreeSlot = Callable[[], None]

_PAUSE_BEFORE_RETURN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Performer:
    """Never holds a delivery while an attempt runs: from `AttemptStarted` on, the lease protects it, not the queue."""

    held: HeldAttempts
    reports: Reports
    tools: Tools
    cancel_grace_seconds: float

    async def perform(self, delivery: Delivery, free_slot: FreeSlot) -> None:
        """Calls `free_slot` once for each attempt of the delivery, as soon as its engine is done with it."""
        fresh, copies = self._sort(delivery)
        try:
            await self._say_claimed(fresh, copies)
        except Exception as error:
            log.warning("gpu_worker.claim.failed", error=repr(error), attempts=len(fresh))
            for attempt in fresh:
                self.held.forget(attempt.attempt_id)
            await asyncio.sleep(_PAUSE_BEFORE_RETURN_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
            await delivery.hand_back()
            for _ in delivery.events:
                free_slot()
            return
        await delivery.acknowledge()
        for _ in copies:
            free_slot()
        if len(fresh) == 1:
            await self._run(fresh[0], free_slot)
        else:
            await asyncio.gather(*(self._run(attempt, free_slot) for attempt in fresh))

    async def _say_claimed(self, fresh: list[Attempt], copies: list[Attempt | OutcomeEvent]) -> None:
        await self.reports.started([*fresh, *(copy for copy in copies if isinstance(copy, Attempt))])
        for copy in copies:
            if not isinstance(copy, Attempt):
                await self.reports.outcome(copy)

    def _sort(self, delivery: Delivery) -> tuple[list[Attempt], list[Attempt | OutcomeEvent]]:
        """Attempts to run, and those that run or ran here. Of the latter, what was said is said again, since a copy means that
        somebody did not hear it: a dropped connection, or a broker that lost everything."""
        fresh: list[Attempt] = []
        copies: list[Attempt | OutcomeEvent] = []
        for event in delivery.events:
            known = self.held.find(event.data.attempt_id) or self.held.outcome(event.data.attempt_id)
            if known is None:
                fresh.append(self._claim(event))
            else:
                DUPLICATES.labels(model=event.data.model_id).inc()
                copies.append(known)
        return fresh, copies

    def _claim(self, event: CloudEvent[RunAttempt]) -> Attempt:
        attempt = Attempt(event, cancel_grace_seconds=self.cancel_grace_seconds)
        self.held.add(attempt)
        return attempt

    async def _run(self, attempt: Attempt, free_slot: FreeSlot) -> None:
        began = monotonic()
        outcome = await run_attempt(attempt, self.tools)
        free_slot()
        self._count(attempt, outcome, monotonic() - began)
        try:
            event = self._event(attempt, outcome)
            await self.reports.outcome(event)
            self.held.conclude(attempt.attempt_id, event)
        finally:
            self.held.forget(attempt.attempt_id)  # whatever happened: a lease that nothing will end must not be renewed

    def _event(self, attempt: Attempt, outcome: Outcome) -> OutcomeEvent:
        match outcome:
            case Succeeded(outputs, facts):
                return self.reports.succeeded(attempt, outputs, facts)
            case Failed(code, message):
                return self.reports.failed(attempt, code, message)
            case _:
                assert_never(outcome)

    def _count(self, attempt: Attempt, outcome: Outcome, took_seconds: float) -> None:
        model_id = attempt.task.model_id
        if isinstance(outcome, Failed):
            attempts_ended(model_id, outcome.code).inc()
            log.info(
                "gpu_worker.attempt.failed",
                job_id=str(attempt.task.job_id),
                attempt_id=str(attempt.attempt_id),
                code=outcome.code.value,
                message=outcome.message,
                duration_ms=round(took_seconds * 1000, 1),
            )
            return
        attempts_ended(model_id, "succeeded").inc()
        for stage, took_ms in attempt.progress.durations_ms.items():
            stage_seconds(model_id, stage).observe(took_ms / 1000)

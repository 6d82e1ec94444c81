"""What is done with a delivery: claim it, acknowledge it, run it, say what became of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import assert_never

import structlog
from structlog.contextvars import bind_contextvars

from contracts.attempts import RunAttempt
from contracts.cloudevents import CloudEvent
from gpu_worker.attempt import Attempt
from gpu_worker.delivery import Delivery
from gpu_worker.held_attempts import HeldAttempts, OutcomeEvent
from gpu_worker.metrics import DUPLICATES, attempts_ended, stage_seconds
from gpu_worker.reports import Reports
from gpu_worker.run_attempt import Failed, Outcome, Succeeded, Tools, run_attempt
from gpu_worker.slots import Slot
from service_kit.backoff import growing_pauses
from service_kit.crash_points import crash_point
from service_kit.errors import OperationalError
from service_kit.tracing import traceparent

log = structlog.get_logger()

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Performer:
    """Never holds a delivery while an attempt runs: from `AttemptStarted` on, the lease protects it, not the queue."""

    held: HeldAttempts
    reports: Reports
    tools: Tools
    cancel_grace_seconds: float
    dear_after_seconds: float
    """A success that took longer is kept until the orchestrator has it. To run a shorter one again costs less than that."""

    async def perform(self, delivery: Delivery, slots: Sequence[Slot]) -> None:
        """Gives back a slot for each attempt of the delivery, each as soon as it is not needed any more."""
        fresh, copies = self._sort(delivery)
        await self._say_claimed(fresh, copies)
        crash_point("gpu_worker.after_started_before_ack")
        await delivery.acknowledge()
        for attempt in fresh:
            attempt.spans.claimed(waited_seconds=delivery.age_seconds)
        crash_point("gpu_worker.after_ack_before_run")
        for slot in slots[len(fresh) :]:  # of copies
            slot.give_back()
        if len(fresh) == 1:
            await self._run(fresh[0], slots[0])
        else:
            await asyncio.gather(*(self._run(*each) for each in zip(fresh, slots, strict=False)))

    async def _say_claimed(self, fresh: list[Attempt], copies: list[Attempt | OutcomeEvent]) -> None:
        """Returns when the broker has it, or when every attempt has been stopped meanwhile, which is said next.

        A claim that was not confirmed may have been heard all the same. It is not taken back: who then runs the attempt would be
        fenced, and after a lease it would count as lost although no worker was. Should the broker deliver the task to another
        worker, the one whose claim is heard first has it, and the other is told to stop.
        """
        running = [*fresh, *(copy for copy in copies if isinstance(copy, Attempt))]
        for pause_seconds in growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS):
            try:
                await self.reports.started(running)
            except OperationalError as error:
                log.warning("gpu_worker.claim.delayed", error=repr(error), attempts=len(fresh))
            else:
                break
            await asyncio.sleep(pause_seconds)
            if not any(attempt.is_stoppable for attempt in running):
                break
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

    async def _run(self, attempt: Attempt, slot: Slot) -> None:
        """In a task that ends with it: so do the ids."""
        traceparent.set(attempt.traceparent)
        bind_contextvars(
            job_id=str(attempt.task.job_id), attempt_id=str(attempt.attempt_id), model=attempt.task.model_id
        )
        began = monotonic()
        outcome = await run_attempt(attempt, self.tools, slot.leave_engine)
        slot.give_back()
        took_seconds = monotonic() - began
        self._count(attempt, outcome, took_seconds)
        attempt.spans.ended(outcome.code if isinstance(outcome, Failed) else None)
        try:
            event = self._event(attempt, outcome)
            crash_point("gpu_worker.after_run_before_report")
            await self.reports.outcome(event)
            crash_point("gpu_worker.after_report_before_noted")
            dear = isinstance(outcome, Succeeded) and took_seconds > self.dear_after_seconds
            self.held.conclude(attempt.attempt_id, event, keep=dear)
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
                code=outcome.code.value,
                message=outcome.message,
                duration_ms=round(took_seconds * 1000, 1),
            )
            return
        attempts_ended(model_id, "succeeded").inc()
        for stage, took_ms in attempt.progress.durations_ms.items():
            stage_seconds(model_id, stage).observe(took_ms / 1000)

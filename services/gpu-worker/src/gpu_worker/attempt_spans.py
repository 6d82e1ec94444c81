"""An attempt in its job's trace: its claim, each stage when it is over, and in the end what became of it.

An attempt may take hours, and a span is only exported when it has ended. So nothing may hang under one that has not: stages and
reports go under the claim, which is exported at once, and the attempt's own span, which says how it ended, stands beside them. A
worker that dies leaves a trace that is whole as far as it goes; that the attempt was lost is then the orchestrator's to say.
"""

import time
from functools import cache

from contracts.attempts import RunAttempt
from contracts.cloudevents import CloudEvent
from contracts.failures import FailureCode
from contracts.ids import ModelId
from contracts.states import Stage
from contracts.topology import worker_tasks
from service_kit.tracing import Attributes, Operation, child_of, is_traced, record
from service_kit.tracing.message_spans import about, consumption


class AttemptSpans:
    """Costs next to nothing if the job's trace is not sampled; its context is passed on all the same."""

    def __init__(self, event: CloudEvent[RunAttempt]) -> None:
        self._event = event
        self._claimed_ns = time.time_ns()
        self._stage_context: str | None = None
        self.is_traced = is_traced(event.traceparent)
        self.context = child_of(event.traceparent) if is_traced(event.traceparent) else event.traceparent
        """What is done and said under: the claim, and once the attempt is over, the attempt."""

    def claimed(self, *, waited_seconds: float) -> None:
        """Its start was said, and its delivery acknowledged. `waited_seconds`: since the delivery came."""
        if self.is_traced:
            assert self.context is not None
            record(
                _claim(self._event.data.model_id),
                self.context,
                self._event.traceparent,
                started_ns=time.time_ns() - int(waited_seconds * 1e9),
                attributes={**about(self._event, batch=(self._event,)), **self._attributes},
            )

    def stage_context(self) -> str | None:
        """For what is done in the present stage, before its span is recorded."""
        if self.is_traced and self._stage_context is None:
            assert self.context is not None
            self._stage_context = child_of(self.context)
        return self._stage_context or self.context

    def stage_left(self, stage: Stage, took_seconds: float, failure: FailureCode | None) -> None:
        """`failure`: of the whole attempt, if it failed in this stage."""
        if self.is_traced and (context := self.stage_context()) is not None:
            now_ns = time.time_ns()
            started_ns = now_ns - int(took_seconds * 1e9)
            attributes = {"p3d.attempt.id": str(self._event.data.attempt_id)}
            record(
                _stage(stage),
                context,
                self.context,
                started_ns=started_ns,
                ended_ns=now_ns,
                attributes=attributes,
                error=failure,
            )
        self._stage_context = None

    def ended(self, failure: FailureCode | None) -> None:
        """From here on what is said is said in the name of its outcome."""
        if self.is_traced:
            assert self.context is not None
            claim, self.context = self.context, child_of(self.context)
            operation = _attempt(self._event.data.model_id)
            record(
                operation,
                self.context,
                claim,
                started_ns=self._claimed_ns,
                attributes=self._attributes,
                error=failure,
            )

    @property
    def _attributes(self) -> Attributes:
        task = self._event.data
        return {
            "p3d.job.id": str(task.job_id),
            "p3d.attempt.id": str(task.attempt_id),
            "p3d.attempt.number": task.attempt,
            "p3d.model.id": task.model_id,
        }


@cache
def _claim(model_id: ModelId) -> Operation:
    return consumption(worker_tasks(model_id), RunAttempt)


@cache
def _attempt(model_id: ModelId) -> Operation:
    return Operation(f"attempt {model_id}")


@cache
def _stage(stage: Stage) -> Operation:
    return Operation(f"stage {stage.value}", attributes={"p3d.stage": stage.value})

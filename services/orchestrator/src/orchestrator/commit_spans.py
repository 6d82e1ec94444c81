"""The traces of a commit: what it did for each job, in the job's own trace, and the commit itself, which serves many.

A job's span lasts from hearing a message to the end of the commit that acted on it, waiting for its turn included; it links to
the commit's own span, which shows how long the commit took and what else was in it. What a decision brings about – events, tasks,
aborts – names the job's span as its cause.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import get_args

from contracts import topology
from orchestrator.decision import Input, Timer, Verdict
from orchestrator.fold import Fold, job_id_of
from orchestrator.job import Job
from service_kit.tracing import Kind, Operation, Value, child_of, is_recording, is_traced, new_trace, record, same_trace
from service_kit.tracing.message_spans import consumption

_COMMIT = Operation("commit")
_MOST_LINKS = 128
"""OpenTelemetry's own limit."""
_HEARD: dict[type, Operation] = {
    message_type: consumption(queue, message_type)
    for queue in (topology.ORCHESTRATOR_REQUESTS, topology.ORCHESTRATOR_REPORTS)
    for message_type in queue.hears
}
_DECIDED: dict[type, Operation] = {
    message_type: Operation(f"decide {message_type.__name__}", Kind.INTERNAL) for message_type in get_args(Input)
}
"""In the trace of the job, where the message came from another, or from none."""


@dataclass(slots=True)
class _Decision:
    said: Input
    operation: Operation
    context: str
    parent: str
    started_ns: int
    links: list[str] = field(default_factory=list)


class CommitSpans:
    """Made when a commit begins. `decided` says that it is done; if the block is left by an exception, its spans say that."""

    def __init__(self) -> None:
        self._began_ns = time.time_ns()
        self._decisions: list[_Decision] = []

    def cause_of(self, said: Input, came_with: str | None, heard_ns: int, job: Job | None) -> str | None:
        """The trace context of what this message is about to bring about; None stands for the job's own.

        A job stays in the trace of the request that made it. What comes from another trace, such as a request to cancel, is a
        span in both, and each links to the other; what time alone does is one in the job's.
        """
        if not is_recording():
            return came_with if job is None else None
        heard = self._add(said, _HEARD[type(said)], came_with, heard_ns) if is_traced(came_with) else None
        if job is None:
            return heard.context if heard else came_with
        if not is_traced(job.traceparent):
            return None
        if heard is not None and same_trace(heard.context, job.traceparent):
            return heard.context
        decided = self._add(said, _DECIDED[type(said)], job.traceparent, self._began_ns)
        if heard is not None:
            decided.links.append(heard.context)
            heard.links.append(decided.context)
        return decided.context

    def _add(self, said: Input, operation: Operation, parent: str, started_ns: int) -> _Decision:
        decision = _Decision(said, operation, child_of(parent), parent, started_ns)
        self._decisions.append(decision)
        return decision

    def decided(self, fold: Fold, verdicts: Iterable[tuple[Input, Verdict]]) -> None:
        """The commit is made."""
        if self._decisions:
            by_message = {id(said): verdict for said, verdict in verdicts}
            self._record(fold=fold, verdicts=by_message, error=None)

    def __enter__(self) -> "CommitSpans":
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error_type is not None and self._decisions:
            self._record(fold=None, verdicts={}, error=error_type.__name__)

    def _record(self, *, fold: Fold | None, verdicts: dict[int, Verdict], error: str | None) -> None:
        commit, ended_ns = new_trace(sampled=True), time.time_ns()
        for decision in self._decisions:
            verdict = verdicts.get(id(decision.said))
            record(
                decision.operation,
                decision.context,
                decision.parent,
                started_ns=decision.started_ns,
                ended_ns=ended_ns,
                attributes=_attributes(decision.said, verdict, fold),
                links=(commit, *decision.links),
                error=error or _outcome(decision.said, verdict, fold),
            )
        record(
            _COMMIT,
            commit,
            None,
            started_ns=self._began_ns,
            ended_ns=ended_ns,
            attributes=_size(fold, len(verdicts)),
            links=[decision.context for decision in self._decisions[:_MOST_LINKS]],
            error=error,
        )


def _attributes(said: Input, verdict: Verdict | None, fold: Fold | None) -> dict[str, Value]:
    job_id = job_id_of(said)
    attributes: dict[str, Value] = {"p3d.job.id": str(job_id)}
    if verdict is not None:
        attributes["p3d.verdict"] = verdict.value
    if (attempt_id := getattr(said, "attempt_id", None)) is not None:
        attributes["p3d.attempt.id"] = str(attempt_id)
    if fold is not None and (job := fold.jobs.get(job_id)) is not None:
        attributes["p3d.model.id"] = job.spec.model_id
        attributes["p3d.job.status"] = job.status.value
    return attributes


def _outcome(said: Input, verdict: Verdict | None, fold: Fold | None) -> str | None:
    """What time alone ends, ends badly, and nobody else will say so: the worker is silent, or there was none."""
    if fold is None or verdict is not Verdict.APPLIED or not isinstance(said, Timer):
        return None
    attempt_id = getattr(said, "attempt_id", None)
    if attempt_id in fold.ended:
        _, attempt = fold.ended[attempt_id]
        return attempt.failure_code
    job = fold.jobs[job_id_of(said)]
    return job.error.code if job.error is not None else None


def _size(fold: Fold | None, messages: int) -> dict[str, Value]:
    if fold is None:
        return {}
    return {
        "p3d.commit.messages": messages,
        "p3d.commit.events": len(fold.events),
        "p3d.commit.dispatched": len(fold.dispatched()),
    }

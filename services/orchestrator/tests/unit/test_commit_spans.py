"""Whose trace a decision belongs to, and what links it to others."""

from uuid import UUID

import pytest
from libs.service_kit.tests.unit.traced import KeptSpans, kept_spans
from services.orchestrator.tests.builders import RULES, T0, a_spec, cancel, requested, started

from contracts.ids import AttemptId, JobId
from orchestrator.commit_spans import CommitSpans
from orchestrator.decision import Input, Verdict
from orchestrator.fold import Fold
from service_kit.tracing import Kind, new_trace, same_trace
from service_kit.tracing.spans import FinishedSpan

JOB, ATTEMPT = JobId(UUID(int=1)), AttemptId(UUID(int=11))


def commit(fold: Fold, *said: tuple[Input, str | None]) -> list[str | None]:
    """What each message was told to be the cause of."""
    spans = CommitSpans()
    causes = [spans.cause_of(message, context, 1, fold.jobs.get(JOB)) for message, context in said]
    verdicts = [(message, fold.apply(message, cause)) for (message, _), cause in zip(said, causes, strict=True)]
    spans.decided(fold, verdicts)
    return causes


def accepted(context: str | None) -> Fold:
    fold = Fold({}, T0, RULES)
    fold.apply(requested(a_spec(JOB)), context)
    return fold


def named(kept: KeptSpans, name: str) -> FinishedSpan:
    (span,) = [span for span in kept if span.operation.name == name]
    return span


def test_a_message_of_the_jobs_own_trace_is_one_span_there_linked_with_the_commit() -> None:
    context = new_trace(sampled=True)
    with kept_spans() as kept:
        (cause,) = commit(Fold({}, T0, RULES), (requested(a_spec(JOB)), context))
    heard, made = named(kept, "process jobs:job.requested:orchestrator.requests"), named(kept, "commit")
    assert (heard.context, heard.parent, heard.operation.kind) == (cause, context, Kind.CONSUMER)
    assert (list(heard.links), list(made.links), made.parent) == ([made.context], [heard.context], None)
    assert not same_trace(made.context, context), "it is of many jobs"
    assert heard.attributes["p3d.verdict"] == Verdict.APPLIED
    assert made.attributes == {"p3d.commit.messages": 1, "p3d.commit.events": 1, "p3d.commit.dispatched": 0}


def test_a_cancel_from_another_trace_is_a_span_in_both_and_each_leads_to_the_other() -> None:
    of_the_job, of_the_cancel = new_trace(sampled=True), new_trace(sampled=True)
    with kept_spans() as kept:
        (cause,) = commit(accepted(of_the_job), (cancel(JOB), of_the_cancel))
    heard = named(kept, "process jobs:job.cancel_requested:orchestrator.requests")
    decided = named(kept, "decide JobCancelRequested")
    assert (heard.parent, decided.parent) == (of_the_cancel, of_the_job)
    assert decided.context == cause, "what it brings about is in the job's trace"
    assert decided.context in heard.links
    assert heard.context in decided.links


@pytest.mark.parametrize("context", [None, new_trace(sampled=False)], ids=["no context", "not sampled"])
def test_what_comes_without_a_trace_is_still_seen_in_the_jobs(context: str | None) -> None:
    of_the_job = new_trace(sampled=True)
    with kept_spans() as kept:
        commit(accepted(of_the_job), (cancel(JOB), context))
    assert named(kept, "decide JobCancelRequested").parent == of_the_job


def test_a_job_that_is_not_sampled_leaves_nothing_but_what_came_with_a_trace_of_its_own() -> None:
    with kept_spans() as kept:
        (cause,) = commit(accepted(new_trace(sampled=False)), (started(JOB, ATTEMPT), None))
    assert cause is None, "the job's own"
    assert kept == []


def test_a_commit_that_fails_says_so_in_every_jobs_trace() -> None:
    def fail(message: Input) -> None:
        with CommitSpans() as spans:
            spans.cause_of(message, new_trace(sampled=True), 1, None)
            raise ConnectionError("postgresql://user:hunter2@host")

    with kept_spans() as kept, pytest.raises(ConnectionError):
        fail(requested(a_spec(JOB)))
    assert [span.error for span in kept] == ["ConnectionError", "ConnectionError"]
    assert "hunter2" not in repr(kept)


def test_while_tracing_is_off_a_new_job_keeps_the_context_it_came_with_and_others_their_own() -> None:
    context = new_trace(sampled=True)
    assert commit(Fold({}, T0, RULES), (requested(a_spec(JOB)), context)) == [context]
    assert commit(accepted(context), (started(JOB, ATTEMPT), new_trace(sampled=True))) == [None]

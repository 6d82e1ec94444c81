"""What is recorded, and under what."""

import asyncio

import pytest
from libs.service_kit.tests.unit.traced import kept_spans

from service_kit.tracing import (
    Kind,
    Operation,
    child_of,
    current_trace_id,
    new_trace,
    record,
    span,
    traceparent,
    within,
)
from service_kit.tracing.context import is_sampled, span_id_of, trace_id_of
from service_kit.tracing.spans import begin_trace

WORK = Operation("work", Kind.INTERNAL, {"always": "so"})
REST = Operation("rest")


def test_what_is_done_within_a_span_is_under_it() -> None:
    root = new_trace(sampled=True)
    with kept_spans() as kept, within(root), span(WORK) as outer, span(REST) as inner:
        assert traceparent.get() == inner.context
    assert kept.names == ["rest", "work"], "each when it is over"
    rest, work = kept
    assert (rest.parent, rest.context) == (outer.context, inner.context)
    assert work.parent == root
    assert work.started_ns <= rest.started_ns <= rest.ended_ns <= work.ended_ns
    assert len({trace_id_of(each.context) for each in kept}) == 1
    assert traceparent.get() is None


def test_an_exception_is_noted_by_its_type_alone_and_goes_on() -> None:
    with kept_spans() as kept, pytest.raises(ValueError, match="secret"), span(WORK, parent=new_trace(sampled=True)):
        raise ValueError("a secret")
    assert kept[0].error == "ValueError"
    assert "secret" not in repr(kept)


@pytest.mark.parametrize("recording", [True, False])
def test_a_trace_that_is_not_sampled_or_not_recorded_is_passed_on_and_leaves_nothing(recording: bool) -> None:
    given = new_trace(sampled=not recording)

    def work() -> None:
        with within(given), span(WORK) as unrecorded:
            assert unrecorded.context == given == traceparent.get()
            assert not unrecorded.is_recorded
            record(WORK, child_of(given), given, started_ns=1)

    if recording:
        with kept_spans() as kept:
            work()
        assert kept == []
    else:
        work()


def test_without_a_trace_there_is_no_span() -> None:
    with kept_spans() as kept, span(WORK) as nothing:
        assert nothing.context is None
    assert kept == []


def test_a_span_may_be_recorded_after_the_fact_with_its_times_and_links() -> None:
    root, other = new_trace(sampled=True), new_trace(sampled=True)
    context = child_of(root)
    with kept_spans() as kept:
        record(WORK, context, root, started_ns=5, ended_ns=7, attributes={"n": 1}, links=[other], error="late")
    (only,) = kept
    assert (only.started_ns, only.ended_ns, only.attributes, only.links, only.error) == (
        5,
        7,
        {"n": 1},
        [other],
        "late",
    )


@pytest.mark.parametrize("caller_sampled", [True, False])
@pytest.mark.parametrize("sampling", [True, False])
def test_the_sampler_decides_where_a_trace_enters_and_the_trace_stays_the_callers(
    sampling: bool, caller_sampled: bool
) -> None:
    caller = new_trace(sampled=caller_sampled)
    with kept_spans(sampling=sampling):
        context = begin_trace(caller, "GET")
    assert trace_id_of(context) == trace_id_of(caller)
    assert is_sampled(context) is sampling
    assert (span_id_of(context) != span_id_of(caller)) is sampling, "who records nothing has no place of his own"


async def test_tasks_of_one_moment_keep_their_traces_apart() -> None:
    async def trace_of_mine(context: str) -> str | None:
        with within(context):
            await asyncio.sleep(0)
            return current_trace_id()

    contexts = [new_trace(sampled=True) for _ in range(5)]
    assert await asyncio.gather(*map(trace_of_mine, contexts)) == list(map(trace_id_of, contexts))
    assert current_trace_id() is None

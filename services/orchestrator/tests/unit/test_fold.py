from collections import Counter
from datetime import timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from services.orchestrator.tests.builders import (
    MODEL,
    OWNER,
    RULES,
    STRANGER,
    T0,
    a_spec,
    cancel,
    failed,
    requested,
    started,
    succeeded,
)

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId
from contracts.states import AttemptStatus, JobStatus
from orchestrator.decision import Dispatch, Input, Verdict
from orchestrator.fold import Fold
from orchestrator.job import Attempt, Job

JOB = JobId(UUID(int=1))
ATTEMPT, NEXT = AttemptId(UUID(int=11)), AttemptId(UUID(int=12))
DISPATCHED, STARTED = AttemptStatus.DISPATCHED, AttemptStatus.STARTED


def fold_of(*messages: Input, loaded: dict[JobId, Job] | None = None) -> Fold:
    fold = Fold(loaded or {}, T0, RULES)
    for message in messages:
        fold.apply(message)
    return fold


def job_after(*messages: Input) -> dict[JobId, Job]:
    """As a later batch would load it."""
    return fold_of(requested(a_spec(JOB)), *messages).jobs


def written(fold: Fold) -> dict[AttemptId, Attempt]:
    return {attempt.attempt_id: attempt for _, attempt in fold.written_attempts()}


def test_a_whole_life_in_one_batch_is_one_new_job_with_one_finished_attempt() -> None:
    fold = fold_of(requested(a_spec(JOB)), Dispatch(JOB, ATTEMPT), started(JOB, ATTEMPT), succeeded(JOB, ATTEMPT))
    assert [job.status for job in fold.created] == [JobStatus.SUCCEEDED]
    assert fold.changed == []
    assert written(fold)[ATTEMPT].status is AttemptStatus.SUCCEEDED
    assert [event.routing_key for event, _ in fold.events] == ["job.queued", "job.started", "job.succeeded"]
    assert fold.dispatched() == ()


def test_a_batch_that_changes_nothing_writes_nothing() -> None:
    fold = fold_of(requested(a_spec(JOB)), cancel(JOB, STRANGER), loaded=job_after())
    assert (fold.created, fold.changed, written(fold), fold.events) == ([], [], {}, [])
    assert not fold.outbound()


def test_an_attempt_that_fails_and_the_next_one_are_both_written() -> None:
    handed_back = failed(JOB, ATTEMPT, FailureCode.WORKER_SHUTDOWN)
    fold = fold_of(handed_back, Dispatch(JOB, NEXT), loaded=job_after(Dispatch(JOB, ATTEMPT), started(JOB, ATTEMPT)))
    assert {attempt_id: attempt.status for attempt_id, attempt in written(fold).items()} == {
        ATTEMPT: AttemptStatus.ABORTED,
        NEXT: AttemptStatus.DISPATCHED,
    }
    assert [job.current for job in fold.dispatched()] == [written(fold)[NEXT]]


def test_an_attempt_that_was_on_the_bus_before_is_not_put_there_again() -> None:
    fold = fold_of(cancel(JOB, STRANGER), loaded=job_after(Dispatch(JOB, ATTEMPT)))
    assert fold.dispatched() == ()


def test_an_attempt_withdrawn_in_the_batch_that_chose_it_is_not_put_on_the_bus() -> None:
    fold = fold_of(requested(a_spec(JOB)), Dispatch(JOB, ATTEMPT), cancel(JOB))
    assert fold.dispatched() == ()
    assert written(fold)[ATTEMPT].status is AttemptStatus.ABORTED


def test_every_event_of_a_job_names_what_caused_it_and_else_the_request() -> None:
    fold = Fold({}, T0, RULES)
    fold.apply(requested(a_spec(JOB)), "00-the-request-01")
    fold.dispatch(JOB, ATTEMPT)
    fold.apply(started(JOB, ATTEMPT), "00-the-report-01")
    fold.apply(cancel(JOB))
    assert [trace for _, trace in fold.events] == ["00-the-request-01", "00-the-report-01", "00-the-request-01"]
    assert fold.jobs[JOB].traceparent == "00-the-request-01", "the next attempt belongs to the request"


def test_usage_changes_by_what_the_batch_made_of_each_users_attempts() -> None:
    other, ours = JobId(UUID(int=2)), JobId(UUID(int=3))
    fold = fold_of(
        started(JOB, ATTEMPT),
        requested(a_spec(other, user_id=STRANGER)),
        Dispatch(other, NEXT),
        requested(a_spec(ours)),
        requested(a_spec(model_id=ModelId("another"))),
        loaded=job_after(Dispatch(JOB, ATTEMPT)),
    )
    dispatched, running = fold.usage_change(MODEL, DISPATCHED), fold.usage_change(MODEL, STARTED)
    assert (dispatched[OWNER], running[OWNER]) == (-1, 1)
    assert (dispatched[STRANGER], running[STRANGER]) == (1, 0)


def test_an_attempt_that_ended_in_the_batch_lowers_its_users_usage() -> None:
    fold = fold_of(succeeded(JOB, ATTEMPT), loaded=job_after(Dispatch(JOB, ATTEMPT), started(JOB, ATTEMPT)))
    assert fold.usage_change(MODEL, STARTED) == Counter({OWNER: -1})


def test_jobs_wait_for_the_dispatcher_until_their_back_off_is_over() -> None:
    lives = job_after(Dispatch(JOB, ATTEMPT), started(JOB, ATTEMPT), failed(JOB, ATTEMPT))
    assert Fold(lives, T0, RULES).waiting(MODEL) == []
    assert [candidate.job_id for candidate in Fold(lives, T0 + timedelta(hours=1), RULES).waiting(MODEL)] == [JOB]
    assert Fold(lives, T0 + timedelta(hours=1), RULES).waiting(ModelId("another")) == []


def test_a_duplicate_of_a_request_in_the_same_batch_does_not_tell_its_events_again() -> None:
    fold = Fold({}, T0, RULES)
    assert fold.apply(requested(a_spec(JOB))) is Verdict.APPLIED
    assert fold.apply(requested(a_spec(JOB))) is Verdict.DUPLICATE
    assert fold.retell == set()
    assert fold_of(requested(a_spec(JOB)), loaded=job_after()).retell == {JOB}


LIFE: list[Input] = [
    requested(a_spec(JOB, max_attempts=2)),
    Dispatch(JOB, ATTEMPT),
    started(JOB, ATTEMPT),
    started(JOB, ATTEMPT),
    failed(JOB, ATTEMPT, FailureCode.WORKER_SHUTDOWN),
    Dispatch(JOB, NEXT),
    cancel(JOB),
    started(JOB, NEXT),
    succeeded(JOB, NEXT),
]


@settings(max_examples=60, deadline=None)
@given(st.permutations(LIFE), st.integers(0, len(LIFE)))
def test_it_does_not_matter_where_one_batch_ends_and_the_next_begins(messages: list[Input], cut: int) -> None:
    whole = fold_of(*messages)
    first = fold_of(*messages[:cut])
    second = fold_of(*messages[cut:], loaded=first.jobs)
    assert second.jobs == whole.jobs
    assert first.events + second.events == whole.events
    assert first.aborts + second.aborts == whole.aborts
    assert written(first) | written(second) == written(whole)

"""What the table of states and messages does not show: what is in a job, an attempt and an event."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from services.orchestrator.tests.builders import (
    GLB,
    OTHER_WORKER,
    RULES,
    T0,
    WORKER,
    a_spec,
    cancel,
    failed,
    requested,
    started,
    succeeded,
)

from contracts.failures import FailureCode
from contracts.ids import AttemptId
from contracts.jobs import JobFailed, JobQueued, JobRetryScheduled, JobSucceeded
from contracts.states import AttemptStatus, JobStatus
from orchestrator.decision import Decision, Dispatch, ExecutionOverdue, Input, LeaseLapsed, QueueDeadlinePassed, Verdict
from orchestrator.job import Job
from orchestrator.lifecycle import decide

FIRST, SECOND = AttemptId(UUID(int=2)), AttemptId(UUID(int=3))
HOUR = timedelta(hours=1)


def after(spec_policy: dict[str, Any], *messages: Input) -> tuple[Job, Decision]:
    """A job to which all this was said at T0, and the last decision."""
    spec = a_spec(JOB, **spec_policy)
    decided = decide(None, requested(spec), T0, RULES)
    for message in messages:
        decided = decide(decided.job, message, T0, RULES)
        assert decided.verdict is Verdict.APPLIED
    assert decided.job is not None
    return decided.job, decided


JOB = a_spec(UUID(int=1)).job_id
TAKEN = (Dispatch(JOB, FIRST), started(JOB, FIRST))


def test_the_first_event_carries_the_whole_job() -> None:
    job, decided = after({"max_attempts": 5})
    (event,) = decided.events
    assert isinstance(event, JobQueued)
    assert event.job == job.spec
    assert (event.seq, event.occurred_at) == (1, T0)


def test_a_start_gives_the_attempt_a_lease_and_a_deadline_by_our_clock() -> None:
    job, _ = after({"execution_timeout_seconds": 100}, *TAKEN)
    assert job.current is not None
    assert job.current.lease_expires_at == T0 + RULES.lease_ttl
    assert job.current.deadline_at == T0 + timedelta(seconds=100) + RULES.execution_grace
    assert (job.current.worker_id, job.started_at) == (WORKER, T0)


def test_an_attempt_counts_for_the_world_once_a_worker_has_taken_it() -> None:
    assert after({}, Dispatch(JOB, FIRST))[0].state.attempt == 0
    assert after({}, *TAKEN)[0].state.attempt == 1


def test_a_job_cancelled_before_a_worker_took_it_had_no_attempt() -> None:
    job, decided = after({}, Dispatch(JOB, FIRST), cancel(JOB))
    assert job.state.attempt == 0
    assert decided.ended is not None
    assert decided.ended.status is AttemptStatus.ABORTED


def test_success_names_the_winning_attempt_and_what_it_made() -> None:
    job, decided = after({}, *TAKEN, succeeded(JOB, FIRST))
    (event,) = decided.events
    assert isinstance(event, JobSucceeded)
    assert (event.outputs, event.facts) == ((GLB,), {"triangles": 12.0})
    assert (job.winning_attempt_id, job.completed_at, job.error) == (FIRST, T0, None)
    assert decided.ended is not None
    assert decided.ended.status is AttemptStatus.SUCCEEDED


def test_a_result_that_comes_while_the_job_is_being_cancelled_stands() -> None:
    job, _ = after({}, *TAKEN, cancel(JOB), succeeded(JOB, FIRST))
    assert job.status is JobStatus.SUCCEEDED
    assert job.cancel_requested


@pytest.mark.parametrize(("code", "retryable"), [(FailureCode.NO_FOREGROUND, False), (FailureCode.OUT_OF_MEMORY, True)])
def test_a_failed_job_says_why_and_whether_another_try_may_help(code: FailureCode, retryable: bool) -> None:
    job, decided = after({"max_attempts": 1}, *TAKEN, failed(JOB, FIRST, code))
    assert isinstance(decided.events[-1], JobFailed)
    assert job.error is not None
    assert (job.error.code, job.error.message, job.error.retryable) == (code, "It broke.", retryable)


def test_a_retry_says_who_failed_and_when_the_next_attempt_is_due() -> None:
    job, decided = after({"retry_backoff_seconds": 100}, *TAKEN, failed(JOB, FIRST))
    (event,) = decided.events
    assert isinstance(event, JobRetryScheduled)
    assert (event.attempt_id, event.worker_id, event.failure.code) == (FIRST, WORKER, FailureCode.ENGINE_CRASHED)
    assert event.retry_at == job.not_before
    assert T0 + timedelta(seconds=75) <= event.retry_at <= T0 + timedelta(seconds=125)
    assert (job.status, job.stage) == (JobStatus.QUEUED, None)


def test_the_time_of_the_first_start_survives_a_retry() -> None:
    job, _ = after({}, *TAKEN, failed(JOB, FIRST, FailureCode.WORKER_SHUTDOWN))
    again = decide(job, Dispatch(JOB, SECOND), T0 + HOUR, RULES).job
    again = decide(again, started(JOB, SECOND, OTHER_WORKER), T0 + HOUR, RULES).job
    assert again is not None
    assert again.started_at == T0
    assert again.state.attempt == 2


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        (LeaseLapsed(JOB, FIRST), AttemptStatus.LOST, FailureCode.WORKER_LOST),
        (ExecutionOverdue(JOB, FIRST), AttemptStatus.FAILED, FailureCode.EXECUTION_TIMEOUT),
        (failed(JOB, FIRST), AttemptStatus.FAILED, FailureCode.ENGINE_CRASHED),
        (failed(JOB, FIRST, FailureCode.WORKER_SHUTDOWN), AttemptStatus.ABORTED, FailureCode.WORKER_SHUTDOWN),
        (failed(JOB, FIRST, FailureCode.CANCELLED), AttemptStatus.ABORTED, FailureCode.CANCELLED),
    ],
)
def test_an_attempt_that_ends_without_a_result_keeps_its_reason(
    message: Input, status: AttemptStatus, code: FailureCode
) -> None:
    job, _ = after({"execution_timeout_seconds": 60}, *TAKEN)
    ended = decide(job, message, T0 + HOUR, RULES).ended
    assert ended is not None
    assert (ended.status, ended.failure_code, ended.ended_at) == (status, code, T0 + HOUR)


def test_handed_back_attempts_do_not_use_up_the_allowed_ones() -> None:
    job, _ = after({"max_attempts": 1}, *TAKEN, failed(JOB, FIRST, FailureCode.WORKER_SHUTDOWN))
    assert job.status is JobStatus.QUEUED
    job, _ = after(
        {"max_attempts": 1},
        *TAKEN,
        failed(JOB, FIRST, FailureCode.WORKER_SHUTDOWN),
        Dispatch(JOB, SECOND),
        started(JOB, SECOND),
        failed(JOB, SECOND),
    )
    assert job.status is JobStatus.FAILED


def test_the_first_worker_a_job_loses_costs_it_no_further_wait_and_the_second_does() -> None:
    job, _ = after({}, *TAKEN)
    job = _told(job, LeaseLapsed(JOB, FIRST), HOUR)
    assert job.not_before == T0 + HOUR
    for message in (Dispatch(JOB, SECOND), started(JOB, SECOND)):
        job = _told(job, message, HOUR)
    job = _told(job, LeaseLapsed(JOB, SECOND), 2 * HOUR)
    assert job.not_before is not None
    assert job.not_before > T0 + 2 * HOUR


def _told(job: Job, message: Input, since_start: timedelta) -> Job:
    told = decide(job, message, T0 + since_start, RULES)
    assert told.verdict is Verdict.APPLIED
    assert told.job is not None
    return told.job


def test_a_job_that_is_handed_back_again_and_again_waits_longer_and_longer() -> None:
    job, _ = after({}, *TAKEN)
    waits = []
    for number in range(8):
        assert job.current is not None
        handed = decide(job, failed(JOB, job.current.attempt_id, FailureCode.WORKER_SHUTDOWN), T0, RULES).job
        assert handed is not None
        assert handed.not_before is not None
        waits.append(handed.not_before - T0)
        attempt_id = AttemptId(UUID(int=1000 + number))
        dispatched = decide(handed, Dispatch(JOB, attempt_id), handed.not_before, RULES).job
        job = decide(dispatched, started(JOB, attempt_id), T0, RULES).job or job
    assert waits[:3] == [timedelta(0)] * 3
    assert timedelta(0) < waits[3] < waits[5] < waits[7]


def test_late_result_from_a_lapsed_attempt_changes_nothing() -> None:
    job, _ = after({}, *TAKEN)
    job = decide(job, LeaseLapsed(JOB, FIRST), T0 + HOUR, RULES).job or job
    late = decide(job, succeeded(JOB, FIRST), T0 + HOUR, RULES)
    assert late.verdict is Verdict.FENCED
    assert late.job is job


def test_a_job_that_ran_longer_than_its_queue_deadline_is_still_tried_again() -> None:
    job, _ = after({"queue_timeout_seconds": 60}, *TAKEN)
    lost = decide(job, LeaseLapsed(JOB, FIRST), T0 + HOUR, RULES).job
    assert decide(lost, QueueDeadlinePassed(JOB), T0 + HOUR, RULES).verdict is Verdict.NOT_DUE
    waited_again = T0 + HOUR + timedelta(seconds=60 + 10)
    assert decide(lost, QueueDeadlinePassed(JOB), waited_again, RULES).verdict is Verdict.APPLIED


def test_a_job_without_a_queue_deadline_waits_for_ever() -> None:
    job, _ = after({})
    assert decide(job, QueueDeadlinePassed(JOB), T0 + 10_000 * HOUR, RULES).verdict is Verdict.NOT_DUE

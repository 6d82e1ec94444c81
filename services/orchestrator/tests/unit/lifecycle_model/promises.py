"""What is promised of jobs, checked against all that was committed, said and heard. Every failure is a sentence."""

from services.orchestrator.tests.unit.lifecycle_model.gateway import View

from contracts.ids import AttemptId, JobId, WorkerId
from contracts.jobs import JobCancelled, JobEvent, JobFailed, JobSpec, JobSucceeded
from contracts.states import AttemptStatus, JobStatus
from orchestrator.job import Attempt, Job

OVER = {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}
"""Not `is_terminal`: a promise must not lean on what it judges."""
ALIVE = {AttemptStatus.DISPATCHED, AttemptStatus.STARTED}
FAILED = {AttemptStatus.FAILED, AttemptStatus.LOST}


class Memory:
    """How things ended, so that nobody can make it undone."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, tuple[Job, int]] = {}
        self._attempts: dict[AttemptId, Attempt] = {}

    def of_job(self, job: Job, log: list[JobEvent]) -> None:
        if job.status in OVER or job.job_id in self._jobs:
            now = (job, len(log))
            assert self._jobs.setdefault(job.job_id, now) == now, "a job that was over has changed"

    def of_attempt(self, attempt: Attempt) -> None:
        if attempt.status not in ALIVE or attempt.attempt_id in self._attempts:
            assert self._attempts.setdefault(attempt.attempt_id, attempt) == attempt, (
                "an attempt that was over has changed"
            )


def log_is_gapless_and_ends_as_the_job_stands(job: Job, log: list[JobEvent]) -> None:
    assert [event.seq for event in log] == list(range(1, len(log) + 1)), "the log has a gap"
    assert job.seq == len(log), "the job does not know how long its log is"
    assert log[-1].state == job.state, "the last event says something else than the job"
    ends = [event for event in log if isinstance(event, JobSucceeded | JobFailed | JobCancelled)]
    assert len(ends) == (job.status in OVER), "a job ends once, and is told to end once"
    assert not ends or ends[0] is log[-1], "something was told after the end"


def result_is_what_its_worker_said(
    job: Job, attempts: list[Attempt], succeeded: set[tuple[AttemptId, WorkerId]]
) -> None:
    winners = [attempt for attempt in attempts if attempt.status is AttemptStatus.SUCCEEDED]
    assert (job.status is JobStatus.SUCCEEDED) == bool(winners), (
        "success without a winning attempt, or the other way round"
    )
    assert [winner.attempt_id for winner in winners] == [job.winning_attempt_id] * bool(winners), "not one winner"
    for winner in winners:
        assert winner.worker_id is not None
        assert (winner.attempt_id, winner.worker_id) in succeeded, "nobody said that the winner succeeded"
    assert (job.error is not None) == (job.status is JobStatus.FAILED), (
        "failed without a reason, or a reason without failure"
    )


def at_most_one_attempt_is_alive(job: Job, attempts: list[Attempt]) -> None:
    alive = [attempt for attempt in attempts if attempt.status in ALIVE]
    current = [] if job.current is None else [job.current.attempt_id]
    assert [attempt.attempt_id for attempt in alive] == current, "an attempt is alive that is not the current one"
    leased = [attempt for attempt in alive if attempt.lease_expires_at is not None]
    assert len(leased) == (job.status is JobStatus.RUNNING), "a job runs if and only if one attempt has the lease"


def job_is_the_one_that_was_asked_for(job: Job, asked: JobSpec) -> None:
    assert job.spec == asked, "another job is run than the one that was asked for"


def attempts_are_counted(job: Job, attempts: list[Attempt]) -> None:
    assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1)), "attempts are misnumbered"
    failed = sum(attempt.status in FAILED for attempt in attempts)
    allowed = job.spec.policy.max_attempts
    assert failed <= allowed, "more attempts failed than the policy allows"
    assert job.status in OVER or failed < allowed, "the last attempt failed and the job goes on"
    assert len(attempts) <= allowed + job.handbacks, "more attempts than the policy allows and workers handed back"
    if job.error is not None and job.error.retryable:
        assert failed == allowed, "a job was given up though another attempt was allowed"


def cancelled_job_gets_no_worker(job: Job) -> None:
    assert not job.cancel_requested or job.status is not JobStatus.QUEUED, "a job nobody wants waits for a worker"
    assert job.status is not JobStatus.CANCELLED or job.cancel_requested, "a job was cancelled that its owner wants"


def view_is_one_of_the_jobs_states(job: Job, log: list[JobEvent], view: View) -> None:
    assert view.seq <= job.seq, "an event was heard that was never committed"
    assert view.state == log[view.seq - 1].state, "the view shows what the job never was"
    if len(view.heard) == job.seq:
        view_is_the_job(job, view)


def view_is_the_job(job: Job, view: View) -> None:
    assert (view.seq, view.state) == (job.seq, job.state), "every event was heard, and the view is not the job"
    assert view.winning_attempt_id == job.winning_attempt_id, "the view has another result than the job"

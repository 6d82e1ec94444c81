"""What a commit counts: each change once, in the batch that made it."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from services.orchestrator.tests.builders import RULES, T0, a_spec, cancel, failed, requested, started, succeeded

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId
from orchestrator.count_changes import count_changes
from orchestrator.decision import Dispatch, Input, QueueDeadlinePassed
from orchestrator.fold import Fold
from orchestrator.job import Job

JOB = JobId(UUID(int=1))
FIRST, SECOND = AttemptId(UUID(int=11)), AttemptId(UUID(int=12))
_numbers = count()


class Counted:
    """Commits batches about one job, of a model that no other test has."""

    def __init__(self) -> None:
        self.model = ModelId(f"counted-{next(_numbers)}")
        self.jobs: dict[JobId, Job] = {}

    def request(self, **policy: object) -> Input:
        return requested(a_spec(JOB, model_id=self.model, **policy))

    def commit(self, *messages: Input, at: datetime = T0) -> None:
        fold = Fold(self.jobs, at, RULES)
        for message in messages:
            fold.apply(message)
        count_changes(fold)
        self.jobs = fold.jobs

    def __getitem__(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of the model by their other labels."""
        return {
            tuple(value for label, value in sample.labels.items() if label != "model"): sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name == name and sample.labels.get("model") == self.model
        }


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_a_success_is_counted_with_its_wait_and_its_run(counted: Counted) -> None:
    counted.commit(counted.request())
    counted.commit(Dispatch(JOB, FIRST), at=T0 + timedelta(seconds=3))
    counted.commit(started(JOB, FIRST), at=T0 + timedelta(seconds=4))
    counted.commit(succeeded(JOB, FIRST), at=T0 + timedelta(seconds=64))
    assert counted["p3d_jobs_ended_total"] == {("SUCCEEDED", "none"): 1}
    assert counted["p3d_attempts_ended_total"] == {("SUCCEEDED", "none"): 1}
    assert counted["p3d_job_wait_seconds_sum"] == {(): 4}
    assert counted["p3d_job_run_seconds_sum"] == {("SUCCEEDED",): 60}
    assert counted["p3d_retries_total"] == {}


def test_a_whole_life_in_one_batch_counts_the_same(counted: Counted) -> None:
    counted.commit(counted.request(), Dispatch(JOB, FIRST), started(JOB, FIRST), succeeded(JOB, FIRST))
    assert counted["p3d_jobs_ended_total"] == {("SUCCEEDED", "none"): 1}
    assert counted["p3d_job_wait_seconds_count"] == {(): 1}
    assert counted["p3d_job_run_seconds_count"] == {("SUCCEEDED",): 1}


def test_what_is_said_again_counts_no_second_time(counted: Counted) -> None:
    life = [counted.request(), Dispatch(JOB, FIRST), started(JOB, FIRST), succeeded(JOB, FIRST)]
    for _ in range(3):
        counted.commit(*life)
    for name in ("p3d_jobs_ended_total", "p3d_attempts_ended_total"):
        assert list(counted[name].values()) == [1]
    assert counted["p3d_job_wait_seconds_count"] == {(): 1}


def test_a_retry_counts_with_the_reason_and_the_wait_only_once(counted: Counted) -> None:
    counted.commit(counted.request(retry_backoff_seconds=0, max_attempts=2))
    counted.commit(Dispatch(JOB, FIRST), started(JOB, FIRST), failed(JOB, FIRST, FailureCode.OUT_OF_MEMORY))
    assert counted["p3d_retries_total"] == {("out_of_memory",): 1}
    assert counted["p3d_jobs_ended_total"] == {}
    later = T0 + timedelta(hours=1)
    counted.commit(Dispatch(JOB, SECOND), started(JOB, SECOND), at=later)
    counted.commit(failed(JOB, SECOND), at=later)
    assert counted["p3d_retries_total"] == {("out_of_memory",): 1}
    assert counted["p3d_attempts_ended_total"] == {("FAILED", "out_of_memory"): 1, ("FAILED", "engine_crashed"): 1}
    assert counted["p3d_jobs_ended_total"] == {("FAILED", "engine_crashed"): 1}
    assert counted["p3d_job_wait_seconds_count"] == {(): 1}
    assert counted["p3d_job_run_seconds_sum"] == {("FAILED",): 3600}


def test_a_job_that_never_started_has_waited_and_run_for_no_time_that_counts(counted: Counted) -> None:
    counted.commit(counted.request(), Dispatch(JOB, FIRST), cancel(JOB))
    assert counted["p3d_jobs_ended_total"] == {("CANCELLED", "none"): 1}
    assert counted["p3d_attempts_ended_total"] == {("ABORTED", "cancelled"): 1}
    assert counted["p3d_retries_total"] == {}
    assert (counted["p3d_job_wait_seconds_count"], counted["p3d_job_run_seconds_count"]) == ({}, {})


def test_a_queue_deadline_counts_as_the_failure_it_is(counted: Counted) -> None:
    counted.commit(counted.request(queue_timeout_seconds=1))
    counted.commit(QueueDeadlinePassed(JOB), at=T0 + timedelta(seconds=1))
    assert counted["p3d_jobs_ended_total"] == {("FAILED", "queue_timeout"): 1}
    assert counted["p3d_attempts_ended_total"] == {}


def test_a_running_job_that_is_cancelled_counts_once_it_has_stopped(counted: Counted) -> None:
    counted.commit(counted.request(), Dispatch(JOB, FIRST), started(JOB, FIRST), cancel(JOB))
    assert counted["p3d_jobs_ended_total"] == {}
    counted.commit(failed(JOB, FIRST, FailureCode.CANCELLED), at=T0 + timedelta(seconds=2))
    assert counted["p3d_jobs_ended_total"] == {("CANCELLED", "none"): 1}
    assert counted["p3d_attempts_ended_total"] == {("ABORTED", "cancelled"): 1}
    assert counted["p3d_job_run_seconds_sum"] == {("CANCELLED",): 2}


def test_jobs_that_were_only_loaded_count_for_nothing(counted: Counted) -> None:
    counted.commit(counted.request(), Dispatch(JOB, FIRST), started(JOB, FIRST))
    other = JobId(uuid4())
    counted.jobs[other] = replace(counted.jobs[JOB], spec=a_spec(other, model_id=counted.model))
    counted.commit(succeeded(JOB, FIRST))
    assert counted["p3d_jobs_ended_total"] == {("SUCCEEDED", "none"): 1}

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import jobs
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, UserId, WorkerId
from contracts.states import JobStatus, Stage
from gateway.job_view import fold, job_body, percent_at, public_payload, requested_view
from gateway.progress import Progress

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ATTEMPT = AttemptId(UUID(int=9))


def spec(number: int = 1) -> jobs.JobSpec:
    return jobs.JobSpec(
        job_id=JobId(UUID(int=number)),
        user_id=UserId(UUID(int=5)),
        model_id=ModelId("m"),
        input_params={"a": 1},
        requested_at=NOW,
    )


def life(number: int = 1) -> list[jobs.JobEvent]:
    """Queued, started, a failed attempt, started again, succeeded."""
    job = spec(number)

    def common(seq: int, status: JobStatus, attempt: int) -> dict[str, object]:
        return {
            "job_id": job.job_id,
            "seq": seq,
            "user_id": job.user_id,
            "model_id": job.model_id,
            "occurred_at": NOW,
            "state": jobs.JobState(status=status, attempt=attempt),
        }

    worker = {"attempt_id": ATTEMPT, "worker_id": WorkerId("w")}
    failure = jobs.JobError(code=FailureCode.WORKER_LOST, message="Lost.", retryable=True)
    build = [
        (jobs.JobQueued, common(1, JobStatus.QUEUED, 0) | {"job": job}),
        (jobs.JobStarted, common(2, JobStatus.RUNNING, 1) | worker),
        (jobs.JobRetryScheduled, common(3, JobStatus.QUEUED, 1) | worker | {"failure": failure, "retry_at": NOW}),
        (jobs.JobStarted, common(4, JobStatus.RUNNING, 2) | worker),
        (
            jobs.JobSucceeded,
            common(5, JobStatus.SUCCEEDED, 2)
            | {"attempt_id": ATTEMPT, "outputs": (), "stage_durations_ms": {}, "facts": {}},
        ),
    ]
    return [event_type.model_validate(fields) for event_type, fields in build]


@given(st.permutations(life(1) + life(2) + life(1)))
def test_fold_gives_the_newest_state_of_each_job_whatever_the_order(events: list[jobs.JobEvent]) -> None:
    changes = fold(events)
    assert [change.newest.job_id for change in changes] == [UUID(int=1), UUID(int=2)]
    for change in changes:
        assert change.newest.seq == 5
        assert change.job == spec(change.newest.job_id.int)
        assert change.winning_attempt_id == ATTEMPT


def test_fold_of_later_facts_alone_knows_no_job() -> None:
    (change,) = fold(life()[1:4])
    assert (change.newest.seq, change.job, change.winning_attempt_id) == (4, None, None)


def test_percent_starts_over_with_each_attempt_and_ends_full() -> None:
    heard = Progress(1, 55.5, Stage.TEXTURE)
    assert [percent_at(event, heard) for event in life()] == [0, 0, 0, 0, 100]
    cancelled = jobs.JobCancelled.model_validate(
        life()[1].model_dump() | {"seq": 3, "state": {"status": "CANCELLED", "attempt": 1}}
    )
    assert (percent_at(cancelled, heard), percent_at(cancelled, None)) == (55, 0)


@pytest.mark.parametrize("event", life(), ids=lambda event: event.routing_key)
def test_owner_reads_no_ids_of_ours(event: jobs.JobEvent) -> None:
    payload = public_payload(event)
    assert payload["status"] == event.state.status
    assert not {"job_id", "user_id", "model_id", "job", "seq"} & payload.keys()


def test_progress_counts_only_while_the_job_runs() -> None:
    body = job_body(requested_view(spec()), progress=Progress(0, 99, Stage.UPLOAD), queue_position=3)
    assert (body["progress_percent"], body["stage"], body["queue_position"]) == (0, None, 3)

"""The ids by which lines of one job are found, read off what was heard."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from contracts.attempts import AbortAttempt
from contracts.cloudevents import CloudEvent, wrap
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, UserId
from contracts.jobs import JobRequested, JobSpec
from service_kit.logging.ids import ids_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB, ATTEMPT = JobId(UUID(int=1)), AttemptId(UUID(int=2))


def an_abort() -> CloudEvent[AbortAttempt]:
    abort = AbortAttempt(job_id=JOB, attempt_id=ATTEMPT, reason=FailureCode.CANCELLED)
    return wrap(abort, event_id="1", source="/", subject=str(JOB), time=NOW)


def test_a_message_about_an_attempt_names_its_job_too() -> None:
    assert ids_of([an_abort()]) == {"job_id": str(JOB), "attempt_id": str(ATTEMPT)}


def test_a_request_names_the_job_that_it_carries() -> None:
    job = JobSpec(job_id=JOB, user_id=UserId(uuid4()), model_id=ModelId("any"), input_params={}, requested_at=NOW)
    assert ids_of([wrap(JobRequested(job=job), event_id="1", source="/", subject="", time=NOW)]) == {"job_id": str(JOB)}


def test_a_batch_of_many_names_none() -> None:
    assert ids_of([an_abort(), an_abort()]) == {}

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import AttemptId
from contracts.jobs import JobPolicy
from orchestrator.retry import backoff

attempt_ids = st.uuids().map(AttemptId)


@given(st.floats(0, 1000), st.integers(1, 20), attempt_ids)
def test_the_wait_doubles_with_each_failure_within_jitter_and_five_minutes(
    base_seconds: float, failed_attempts: int, attempt_id: AttemptId
) -> None:
    wait = backoff(JobPolicy(retry_backoff_seconds=base_seconds), failed_attempts, attempt_id).total_seconds()
    middle = min(base_seconds * 2 ** (failed_attempts - 1), 300)
    assert middle * 0.75 - 1e-6 <= wait <= middle * 1.25 + 1e-6


@given(attempt_ids)
def test_the_same_failure_always_waits_the_same(attempt_id: AttemptId) -> None:
    policy = JobPolicy()
    assert backoff(policy, 1, attempt_id) == backoff(policy, 1, attempt_id)


def test_jobs_that_failed_together_do_not_return_together() -> None:
    waits = {backoff(JobPolicy(), 1, AttemptId(UUID(int=number))) for number in range(100)}
    assert len(waits) == 100
    assert max(waits) - min(waits) > timedelta(0)

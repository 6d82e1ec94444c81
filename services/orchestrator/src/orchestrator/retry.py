"""How long to wait before the next attempt."""

from datetime import timedelta

from contracts.ids import AttemptId
from contracts.jobs import JobPolicy

_LONGEST_BACKOFF_SECONDS = 300.0


def backoff(policy: JobPolicy, failed_attempts: int, attempt_id: AttemptId) -> timedelta:
    """Exponential, at most five minutes, with jitter of ± 25 % so that jobs which failed together do not return together.

    The jitter is drawn from the id of the attempt that failed: the same decision taken twice is the same decision.
    """
    seconds = min(policy.retry_backoff_seconds * 2 ** (failed_attempts - 1), _LONGEST_BACKOFF_SECONDS)
    spread = (attempt_id.int % 10_007) / 10_007
    return timedelta(seconds=seconds * (0.75 + spread / 2))

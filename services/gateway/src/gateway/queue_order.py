"""In which order waiting jobs of one model are dispatched, as the orchestrator does it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.ids import JobId, UserId


@dataclass(frozen=True, slots=True)
class WaitingJob:
    job_id: JobId
    user_id: UserId
    priority: int


def queue_positions(oldest_first: Iterable[WaitingJob]) -> dict[JobId, int]:
    """Each job's place, from 1: by priority, then fair share (everybody's first job before anybody's second), then age.

    Fair share counts within a priority: a user's n-th waiting job competes with the others' n-th.
    """
    nth_of_user: Counter[tuple[int, UserId]] = Counter()
    keys: list[tuple[int, int, int, JobId]] = []
    for age_rank, job in enumerate(oldest_first):
        nth_of_user[job.priority, job.user_id] += 1
        keys.append((-job.priority, nth_of_user[job.priority, job.user_id], age_rank, job.job_id))
    keys.sort()
    return {job_id: position for position, (*_, job_id) in enumerate(keys, start=1)}

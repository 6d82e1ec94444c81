"""Who is next: priority first, then fair share between users, then age. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.ids import JobId, UserId


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting job."""

    job_id: JobId
    user_id: UserId
    priority: int
    accepted_at: datetime


def window(slots: int, window_per_slot: float) -> int:
    """How many attempts may be on the bus for a model whose live workers have `slots` slots between them.

    The window is what hides the way from here to a worker: a slot that frees finds its next task waiting. It is at least one, so
    that a single slow worker is never idle.
    """
    return max(1, math.ceil(slots * window_per_slot)) if slots > 0 else 0


def window_room(slots: int, window_per_slot: float, dispatched: int) -> int:
    """How many more attempts may go on the bus, where `dispatched` are there already."""
    return max(window(slots, window_per_slot) - dispatched, 0)


def choose(candidates: Iterable[Candidate], active: Mapping[UserId, int], room: int) -> list[Candidate]:
    """The next `room` jobs.

    Within a priority, a user's n-th job comes after everybody's (n-1)-th, counting those already on the bus or running: so a
    thousand jobs of one user do not starve the one of another. Equals go by age.
    """
    held = dict(active)
    ranked = []
    for candidate in sorted(candidates, key=lambda c: (-c.priority, c.accepted_at, c.job_id)):
        share = held.get(candidate.user_id, 0)
        held[candidate.user_id] = share + 1
        ranked.append((-candidate.priority, share, candidate.accepted_at, candidate.job_id, candidate))
    ranked.sort(key=lambda entry: entry[:4])
    return [entry[-1] for entry in ranked[:room]]

"""How far the read model is behind what this gateway has heard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from contracts.jobs import JobEvent

_GIVEN_UP_AFTER = timedelta(seconds=30)
"""A delivery that failed is tried again within seconds; one that is not any more is no longer ours to apply."""


def _now() -> datetime:
    return datetime.now(UTC)


class ProjectionLag:
    """The age of the oldest event that was heard and is not applied: 0 when idle, and growing while nothing can be applied.

    Asked for when it is wanted: the age of what was applied last would stand still just when the projection does.
    """

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._under_way: dict[object, datetime] = {}
        self._failed: datetime | None = None
        self._failed_at: datetime | None = None

    @contextmanager
    def holding(self, events: Sequence[JobEvent]) -> Iterator[None]:
        """Around their application. If that fails they are held on, for they will be tried again."""
        if not events:
            yield
            return
        oldest, token = min(event.occurred_at for event in events), object()
        self._under_way[token] = oldest
        try:
            yield
        except Exception:
            self._failed = oldest if self._failed is None else min(self._failed, oldest)
            self._failed_at = self._clock()
            raise
        else:
            self._failed = None  # what failed before is about to be tried again, and then counts as under way
        finally:
            del self._under_way[token]

    def seconds(self) -> float:
        now = self._clock()
        waiting = list(self._under_way.values())
        if self._failed is not None and self._failed_at is not None and now - self._failed_at < _GIVEN_UP_AFTER:
            waiting.append(self._failed)
        return max((now - min(waiting)).total_seconds(), 0.0) if waiting else 0.0

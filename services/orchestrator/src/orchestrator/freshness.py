"""Whether what was counted some time ago may still be shown."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.metrics import CENSUS_AGE_SECONDS


class Freshness:
    """Of the gauges of one census. When it fails they stay for a while, so that a restart of a dependency leaves no gap in every
    graph; then they are removed: a gauge that nobody can renew would go on saying that all is well.
    """

    def __init__(
        self,
        census: str,
        remove: Callable[[], None],
        *,
        stale_after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._remove = remove
        self._stale_after_seconds = stale_after_seconds
        self._clock = clock
        self._taken_at = clock()
        CENSUS_AGE_SECONDS.labels(of=census).set_function(self.age_seconds)
        remove()

    def age_seconds(self) -> float:
        """Since the last census that succeeded; before the first, since the start."""
        return self._clock() - self._taken_at

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Around a census, which renews the gauges."""
        try:
            yield
        except Exception:
            if self.age_seconds() > self._stale_after_seconds:
                self._remove()
            raise
        self._taken_at = self._clock()

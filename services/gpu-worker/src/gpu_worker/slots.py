"""How many attempts of a model may still be taken."""

import time
from collections.abc import Callable


class Slots:
    """Counts; waiting is the intake's business. Where one delivery took more than there were, `free` is below 0."""

    def __init__(self, total: int, on_freed: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.free = total
        self._on_freed = on_freed
        self._clock = clock
        self._full_since: float | None = None

    @property
    def full_seconds(self) -> float:
        """For how long none has been free; 0 if one is."""
        return 0.0 if self._full_since is None else self._clock() - self._full_since

    def take(self, count: int) -> None:
        self.free -= count
        if self.free <= 0 and self._full_since is None:
            self._full_since = self._clock()

    def give_back(self, count: int = 1) -> None:
        self.free += count
        if self.free > 0:
            self._full_since = None
        self._on_freed()

"""How many attempts of a model may still be taken."""

import time
from collections.abc import Callable
from enum import Enum, auto


class _Use(Enum):
    ENGINE = auto()
    STORING = auto()
    NOTHING = auto()


class Slots:
    """Counts; waiting is the intake's business.

    An attempt whose engine is done makes room for the next while its outputs are stored: the engine should not idle. But at most
    as many as there are slots may be storing beside the running ones, so that a worker whose storage is away stops taking
    attempts before it has filled its disk. Where one delivery took more slots than there were, `free` is below 0.
    """

    def __init__(self, total: int, on_change: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`on_change` hears when a slot has changed its use, not when one is taken."""
        self.total = total
        self.storing = 0
        self._running = 0
        self._on_change = on_change
        self._clock = clock
        self._full_since: float | None = None

    @property
    def free(self) -> int:
        return min(self.total, 2 * self.total - self.storing) - self._running

    @property
    def full_seconds(self) -> float:
        """For how long none has been free; 0 if one is."""
        return 0.0 if self._full_since is None else self._clock() - self._full_since

    def take(self, count: int) -> "list[Slot]":
        self._running += count
        self._note_fullness()
        return [Slot(self) for _ in range(count)]

    def change(self, before: _Use, after: _Use) -> None:
        """For `Slot` only."""
        self._running -= before is _Use.ENGINE
        self.storing += (after is _Use.STORING) - (before is _Use.STORING)
        self._note_fullness()
        self._on_change()

    def _note_fullness(self) -> None:
        if self.free > 0:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = self._clock()


class Slot:
    """One attempt's. Both methods are idempotent."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._use = _Use.ENGINE

    def leave_engine(self) -> None:
        """The engine is done; what it made is still to be stored."""
        if self._use is _Use.ENGINE:
            self._turn_to(_Use.STORING)

    def give_back(self) -> None:
        if self._use is not _Use.NOTHING:
            self._turn_to(_Use.NOTHING)

    def _turn_to(self, use: _Use) -> None:
        before, self._use = self._use, use
        self._slots.change(before, use)

"""How far an attempt is, as a percentage of the whole, and how long each of its stages took. No I/O; the clock is passed in."""

import time
from collections.abc import Callable
from typing import TypeAlias

from contracts.failures import FailureCode
from contracts.states import Stage

_BANDS: dict[Stage, tuple[float, float]] = {
    Stage.DOWNLOAD: (0, 3),
    Stage.LOAD: (3, 10),
    Stage.SEGMENT: (10, 35),
    Stage.INFLATE: (35, 75),
    Stage.GENERATE: (10, 75),
    Stage.TEXTURE: (75, 90),
    Stage.EXPORT: (90, 95),
    Stage.UPLOAD: (95, 100),
}
"""Each stage's share of the whole, by weight. An engine either segments and inflates or generates, so those overlap."""

_TOO_SHORT_TO_COUNT_MS = 0.05


def percent_of_whole(stage: Stage, fraction: float) -> float:
    """Where `fraction` (0 to 1, held to that) of a stage lies between 0 and 100."""
    begin, end = _BANDS[stage]
    return begin + (end - begin) * min(1.0, max(0.0, fraction))


OnLeft: TypeAlias = Callable[[Stage, float, FailureCode | None], None]
"""Hears of a stage that is over: how many seconds it took, and why the attempt failed in it, if it did."""


def _nobody_listens(_stage: Stage, _took_seconds: float, _failure: FailureCode | None) -> None:
    pass


class Progress:
    """One attempt's way through its stages. The percentage never falls, whatever the engine says."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, on_left: OnLeft = _nobody_listens) -> None:
        self._clock = clock
        self._on_left = on_left
        self._since = clock()
        self._told_stage: Stage | None = None
        self._told_percent = 0.0
        self._told_at = self._since
        self.stage: Stage | None = None
        self.percent = 0.0
        self.durations_ms: dict[Stage, float] = {}

    def enter(self, stage: Stage) -> None:
        """A stage begins and the one before it ends. What lay between two stages counts for the later one."""
        if self.stage is not None:
            self.leave()
        self.stage = stage
        self._reach(stage, 0.0)

    def leave(self, failure: FailureCode | None = None) -> None:
        """The current stage is over; none, if there is none. From now on time counts for the next."""
        now = self._clock()
        if self.stage is not None:
            took_ms = (now - self._since) * 1000
            if took_ms >= _TOO_SHORT_TO_COUNT_MS:
                self.durations_ms[self.stage] = self.durations_ms.get(self.stage, 0.0) + took_ms
                self._on_left(self.stage, now - self._since, failure)
            self.stage = None
        self._since = now

    def report(self, stage: Stage, fraction: float) -> None:
        """What an engine says of itself: it is in `stage`, and `fraction` of it is done."""
        if stage is not self.stage:
            self.enter(stage)
        self._reach(stage, fraction)

    def stage_to_tell(self, after_ms: float) -> Stage | None:
        """The current stage, until it was told, as soon as it has lasted `after_ms`."""
        if self.stage is None or self.stage is self._told_stage or not self._lasts(after_ms):
            return None
        return self.stage

    def stage_told(self, stage: Stage) -> None:
        self._told_stage = stage

    def percent_to_tell(self, interval_ms: float) -> tuple[Stage, float] | None:
        """The latest, if it is news: at most one an interval, the first when the attempt has lasted that long."""
        now = self._clock()
        if self.stage is None or (now - self._told_at) * 1000 < interval_ms or self.percent <= self._told_percent:
            return None
        self._told_percent, self._told_at = self.percent, now
        return self.stage, self.percent

    def _lasts(self, at_least_ms: float) -> bool:
        return (self._clock() - self._since) * 1000 >= at_least_ms

    def _reach(self, stage: Stage, fraction: float) -> None:
        self.percent = max(self.percent, percent_of_whole(stage, fraction))

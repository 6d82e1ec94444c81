"""How many lines one thing may write: what happens a thousand times in an outage is told a few dozen times, and counted."""

import logging
import time
from collections.abc import Callable, Hashable
from typing import Any

from service_kit.logging.exceptions import exception_in

_BURST = 10
_PER_SECOND = 1 / 5
"""Ten lines at once, then one every five seconds: a minute of the same trouble is some twenty lines."""
_MAX_KINDS = 1000

_TOLD_APART_BY = ("queue", "loop", "what", "model", "route", "status")
"""Fields with few values that make another thing of an event: one loop that fails must not hide the failure of another."""


class Budget:
    """A token bucket: `burst` at once, `per_second` in the long run."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._left = burst
        self._counted_at = clock()
        self._left_out = 0

    def take(self) -> dict[str, int] | None:
        """None: not this one. Else what to say with it: `left_out`, how many were refused since the last, if any were."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            self._left_out += 1
            return None
        self._left -= 1
        left_out, self._left_out = self._left_out, 0
        return {"left_out": left_out} if left_out else {}


class LimitRepeats(logging.Filter):
    """Warnings and errors have a budget per kind; the first line after some were left out says how many, as `left_out`.

    What is below a warning is not limited here: such lines are few by design, or have a limit where they are written.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._budgets: dict[Hashable, Budget] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        more = self._budget(_kind(record)).take()
        if more is None:
            return False
        record.__dict__.update(more)
        return True

    def _budget(self, kind: Hashable) -> Budget:
        budget = self._budgets.get(kind)
        if budget is None:
            if len(self._budgets) >= _MAX_KINDS:  # a library that writes values into its templates
                self._budgets.clear()
            budget = self._budgets[kind] = Budget(_BURST, _PER_SECOND, self._clock)
        return budget


def _kind(record: logging.LogRecord) -> Hashable:
    """Of ours: the event and what tells it apart. Of a library: its logger and the template, before values are put in."""
    message: Any = record.msg
    if isinstance(message, dict):
        error = exception_in(message.get("exc_info"))
        return (message["event"], type(error), *(str(message[name]) for name in _TOLD_APART_BY if name in message))
    return (record.name, str(message))

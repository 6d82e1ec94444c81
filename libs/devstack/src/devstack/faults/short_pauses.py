"""Lets what backs off come back at once: hundreds of faults a second are no outage, and a test has no minute to wait."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

_PAUSES = (
    "service_kit.consumer._FIRST_PAUSE_SECONDS",
    "service_kit.consumer._LONGEST_PAUSE_SECONDS",
    "service_kit.consumer._PAUSE_BEFORE_RETURN_SECONDS",
    "service_kit.loops._LONGEST_BACKOFF_SECONDS",
)
_SECONDS = 0.05


@contextmanager
def short_pauses() -> Iterator[None]:
    """Within it, consumers and loops of this process try again after about 50 ms, however often they have failed."""
    with ExitStack() as stack:
        for name in _PAUSES:
            stack.enter_context(patch(name, _SECONDS))
        yield

"""How long to wait before trying again."""

import random
from collections.abc import Iterator


def growing_pauses(first_seconds: float, *, longest_seconds: float) -> Iterator[float]:
    """Seconds to wait before each further try, without end: doubled each time up to the longest, and of that between a half and
    the whole, so that those who failed together do not come back together.

    "Equal jitter" of M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015.
    """
    seconds = min(first_seconds, longest_seconds)
    while True:
        yield seconds * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret
        seconds = min(seconds * 2, longest_seconds)

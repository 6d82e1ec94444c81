"""Sends a request again that failed for no fault of its own."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import structlog

from contracts.failures import FailureCode
from gpu_worker.failures import AttemptError

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0


class PassingError(Exception):
    """The other side cannot just now: overloaded, restarting, cut off. Its message holds no URL, for those are credentials."""


async def with_retries(what: str, once: Callable[[], Awaitable[T]], *, tries: int) -> T:
    """What `once` returns; tried up to `tries` times, with growing pauses and jitter.

    Raises AttemptError(STORAGE_UNAVAILABLE) when it never worked; what is not passing goes through at once.
    """
    pause_seconds = _FIRST_PAUSE_SECONDS
    for left in reversed(range(tries)):
        try:
            return await once()
        except (PassingError, aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = _without_url(error)
            if not left:
                message = f"{what} failed {tries} times, the last time with: {reason}"
                raise AttemptError(FailureCode.STORAGE_UNAVAILABLE, message) from None
            log.warning("gpu_worker.request.retried", what=what, reason=reason, tries_left=left)
        await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
    raise AssertionError("tries is at least 1")


def _without_url(error: Exception) -> str:
    """aiohttp's own texts may hold the URL, and a presigned one opens the object to whoever reads the log."""
    return str(error) if isinstance(error, PassingError) else type(error).__name__

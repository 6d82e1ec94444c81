"""Outlasts a storage that is away: restarting, overloaded, cut off."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import aiohttp
import structlog

from contracts.failures import FailureCode
from gpu_worker.failures import AttemptError
from service_kit.backoff import growing_pauses

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 15.0


class PassingError(Exception):
    """The other side cannot just now. Its message holds no URL, for those are credentials."""


async def outlast(what: str, once: Callable[[], Awaitable[T]], *, patience_seconds: float) -> T:
    """What `once` returns, which is tried again, later and later, until that has failed for `patience_seconds`.

    Counted from the first failure, so that a long upload does not use the patience up. Raises AttemptError(STORAGE_UNAVAILABLE)
    when that is over; what is not passing goes through at once. May be cancelled at any moment.
    """
    failing_since: float | None = None
    for pause_seconds in growing_pauses(_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS):
        try:
            return await once()
        except (PassingError, aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = _without_url(error)
        now = monotonic()
        failing_since = now if failing_since is None else failing_since
        left_seconds = failing_since + patience_seconds - now
        if left_seconds <= 0:
            message = f"{what} failed for {patience_seconds:g} s, the last time with: {reason}"
            raise AttemptError(FailureCode.STORAGE_UNAVAILABLE, message)
        log.warning(
            "gpu_worker.storage.awaited", what=what, reason=reason, patience_left_seconds=round(left_seconds, 1)
        )
        # Never beyond the patience: its end deserves a last try.
        await asyncio.sleep(min(left_seconds, pause_seconds))
    raise AssertionError("pauses have no end")


def _without_url(error: Exception) -> str:
    """aiohttp's own texts may hold the URL, and a presigned one opens the object to whoever reads the log."""
    return str(error) if isinstance(error, PassingError) else type(error).__name__

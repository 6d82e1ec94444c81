"""Waits for what nobody tells us about."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Probe = Callable[[], Awaitable[bool]]


async def until(probe: Probe, *, timeout_seconds: float) -> bool:
    """Asks again and again, ever more slowly up to ten times a second, until the probe is true or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    pause = 0.01
    while not await probe():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return True

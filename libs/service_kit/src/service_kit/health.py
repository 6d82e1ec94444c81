"""Liveness: restart me if this fails. Readiness: send me nothing while this fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Check = Callable[[], Awaitable[bool]]

_CHECK_TIMEOUT_SECONDS = 2.0
_TOLERATED_SECONDS = 15.0


class Health:
    """Named checks; one that raises or takes longer than 2 s has failed. A service that is stopping is not ready."""

    def __init__(self) -> None:
        self.alive: dict[str, Check] = {}
        self.ready: dict[str, Check] = {}
        self.stopping = False

    def stop(self) -> None:
        self.stopping = True

    async def live_page(self, _request: Request) -> Response:
        return await _page(self.alive)

    async def ready_page(self, _request: Request) -> Response:
        if self.stopping:
            return JSONResponse({"status": "stopping"}, status_code=503)
        return await _page(self.alive | self.ready)


def tolerating(check: Check, *, seconds: float = _TOLERATED_SECONDS) -> Check:
    """The check, failing only once it has failed for so long whenever it was asked: what mends itself needs no restart."""
    failing_since: float | None = None

    async def tolerant() -> bool:
        nonlocal failing_since
        if await _passes(check, _CHECK_TIMEOUT_SECONDS / 2):  # the page's own limit would not tolerate
            failing_since = None
            return True
        now = time.monotonic()
        failing_since = failing_since or now
        return now - failing_since < seconds

    return tolerant


async def _page(checks: dict[str, Check]) -> Response:
    passed = dict(zip(checks, await asyncio.gather(*map(_passes, checks.values())), strict=True))
    healthy = all(passed.values())
    body = {
        "status": "ok" if healthy else "failing",
        "checks": {name: "ok" if ok else "failing" for name, ok in passed.items()},
    }
    return JSONResponse(body, status_code=200 if healthy else 503)


async def _passes(check: Check, timeout_seconds: float = _CHECK_TIMEOUT_SECONDS) -> bool:
    try:
        async with asyncio.timeout(timeout_seconds):
            return await check()
    except Exception:
        return False

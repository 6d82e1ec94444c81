"""Lets Ctrl-C and SIGTERM end a program through its `finally` blocks, once."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger("devstack")


def run_until_signalled(work: Coroutine[Any, Any, int], *, status_when_stopped: int) -> int:
    """Runs it and returns its exit status; at the first signal cancels it, at further ones lets it go on ending.

    What it ends, it ends within bounds of its own, so that there is nothing to force.
    """
    return asyncio.run(_run(work, status_when_stopped))


async def _run(work: Coroutine[Any, Any, int], status_when_stopped: int) -> int:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            _log.info("%s: stopping", number.name)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        return status_when_stopped

"""uvicorn, ended the way a rolling restart needs it."""

import asyncio
import faulthandler
import math
import signal
import socket
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from service_kit.health import Health
from service_kit.settings import ServiceSettings

log = structlog.get_logger()

_CLOSING_SECONDS = 15.0
"""So long, beyond the grace, what the service opened may take to close. Every part of it is limited; this limits their sum."""


async def _without_exit(startup: Coroutine[None, None, None]) -> str | int | None:
    """The status with which uvicorn ends the process when it cannot start; None if it has started.

    A `SystemExit` in a task would end the event loop at once, and be reported as an exception that nobody retrieved.
    """
    try:
        await startup
    except SystemExit as end:
        return end.code
    return None


class GracefulServer(uvicorn.Server):
    """SIGTERM or SIGINT: readiness fails at once; for `drain_seconds` requests are still taken, and their clients told to come by
    another connection; then those under way may finish within the grace, and the lifespan ends. The exit status is 0.

    While the service starts there is nothing to finish, and it ends at once. A second SIGTERM changes nothing; a second SIGINT
    does not wait for requests. Where something hangs in spite of all limits the process ends itself with status 1, and says
    where.
    """

    def __init__(self, app: FastAPI, settings: ServiceSettings, health: Health) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=settings.tls_certificate_file,
            ssl_keyfile=settings.tls_key_file,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, math.ceil(settings.shutdown_grace_seconds)),
        )
        super().__init__(config)
        self._health = health
        self._drain_seconds = settings.drain_seconds
        self._longest_stop_seconds = settings.drain_seconds + settings.shutdown_grace_seconds + _CLOSING_SECONDS
        self._asked = asyncio.Event()
        self._asked_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        starting = asyncio.create_task(_without_exit(super().startup(sockets)))
        asked = asyncio.create_task(self._asked.wait())
        await asyncio.wait([starting, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if starting.done():
            if (status := starting.result()) is not None:
                raise SystemExit(status)
            log.info("process.start.completed", host=self.config.host, port=self.config.port)
            return
        starting.cancel()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        took_seconds = 0.0 if self._asked_at is None else time.monotonic() - self._asked_at
        log.info("process.stop.completed", duration_ms=round(took_seconds * 1000))

    async def on_tick(self, counter: int) -> bool:
        drained = self._asked_at is not None and time.monotonic() - self._asked_at >= self._drain_seconds
        return await super().on_tick(counter) or drained

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """To the end of the process: one who asks a second time while it is closing must not kill it."""
        for handled in (signal.SIGINT, signal.SIGTERM):
            signal.signal(handled, self.handle_exit)
        yield
        for handled in (signal.SIGINT, signal.SIGTERM):
            signal.signal(handled, signal.SIG_IGN)  # while the interpreter ends, it would set them back

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # as signal handlers are called
        """Not uvicorn's, which notes the signal to raise it again in the end: who asked for the stop would read of a failure."""
        if self._asked_at is not None:
            self.force_exit = self.force_exit or sig == signal.SIGINT
            return
        self._asked_at = time.monotonic()
        self._health.stop()
        close = (b"connection", b"close")
        self.config.encoded_headers.append(close)
        self.server_state.default_headers.append(close)  # of this second; the next ones are made of the former
        faulthandler.dump_traceback_later(self._longest_stop_seconds, exit=True)
        # Whatever the signal interrupted may hold a lock: the rest is for the loop.
        asyncio.get_running_loop().call_soon_threadsafe(self._on_asked, signal.Signals(sig).name)

    def _on_asked(self, signal_name: str) -> None:
        self._asked.set()
        log.info("process.stop.asked", signal=signal_name)

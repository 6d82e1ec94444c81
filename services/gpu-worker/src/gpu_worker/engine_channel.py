"""The worker's end of the socket it shares with an engine's process.

A protocol, not a stream: callbacks run in the order the bytes came, with no task switch a line, which is most of what keeps
an attempt's overhead under a millisecond.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import structlog

from gpu_worker.engine_messages import MAX_LINE_BYTES, EngineMessage, MalformedLineError, decode_message

_log = structlog.get_logger(__name__)


class EngineChannel(asyncio.Protocol):
    """Calls `on_message` for each message, and `on_closed` once, after the last. A malformed line is logged and skipped."""

    def __init__(self, on_message: Callable[[EngineMessage], None], on_closed: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._unfinished = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, line: bytes) -> None:
        assert self._transport is not None
        self._transport.write(line)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            try:
                message = decode_message(line)
            except MalformedLineError as error:
                _log.warning("gpu_worker.engine_message.refused", error=str(error)[:200])
            else:
                self._on_message(message)
        if len(self._unfinished) > MAX_LINE_BYTES:
            _log.error("gpu_worker.engine_channel.abandoned", max_bytes=MAX_LINE_BYTES)
            self._unfinished = b""
            self.close()  # where its next message begins is anybody's guess: this process is of no more use

    def connection_lost(self, _exc: Exception | None) -> None:
        self._on_closed()

"""What an engine printed, cut into lines: the last of it is kept as the attempt's log."""

import re
from collections import deque
from collections.abc import Callable

_LINE_END = re.compile(rb"[\r\n]+")  # progress bars end their lines with \r


class EngineOutput:
    """Collects the bytes of an engine's stdout and stderr, bounded whatever it prints.

    `on_line` hears every line, cut at `max_line_bytes`; `tail` holds the last `keep_bytes` of them.
    """

    def __init__(
        self, on_line: Callable[[str], None], *, keep_bytes: int = 64 * 1024, max_line_bytes: int = 4 * 1024
    ) -> None:
        self._on_line = on_line
        self._keep_bytes = keep_bytes
        self._max_line_bytes = max_line_bytes
        self._lines: deque[bytes] = deque()
        self._kept_bytes = 0
        self._unfinished = b""
        self._last_line = b""

    def feed(self, data: bytes) -> None:
        *lines, rest = _LINE_END.split(self._unfinished + data)
        for line in lines:
            self._keep(line)
        while len(rest) >= self._max_line_bytes:
            self._keep(rest[: self._max_line_bytes])
            rest = rest[self._max_line_bytes :]
        self._unfinished = rest

    def clear(self) -> None:
        """Forget what was kept: an attempt begins."""
        self._keep(self._unfinished)
        self._unfinished = b""
        self._lines.clear()
        self._kept_bytes = 0

    @property
    def last_line(self) -> str:
        """The last line that is not blank, be it finished or not."""
        return (self._unfinished.strip() or self._last_line).decode(errors="replace")

    @property
    def tail(self) -> str:
        return b"\n".join([*self._lines, self._unfinished]).decode(errors="replace")

    def _keep(self, line: bytes) -> None:
        if not line.strip():
            return
        line = line[: self._max_line_bytes]
        self._lines.append(line)
        self._kept_bytes += len(line) + 1
        while self._kept_bytes > self._keep_bytes:
            self._kept_bytes -= len(self._lines.popleft()) + 1
        self._last_line = line
        self._on_line(line.decode(errors="replace"))

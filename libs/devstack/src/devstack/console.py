"""What a person at a terminal sees: each process's lines behind its name, in its colour."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class ProcessConsole:
    """Prints lines of many processes on one terminal; without a terminal, without colours."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stdout, soft_wrap=True, highlight=False)
        self._colours: dict[str, str] = {}

    def line(self, name: str, line: str) -> None:
        if not self.console.is_terminal:
            # rich wraps and measures what it prints; a log file wants the line as it is.
            self.console.file.write(f"{name:<15}| {_ANSI.sub('', line)}\n")
            self.console.file.flush()
            return
        prefix = Text(f"{name:<15}│ ", style=self._colour(name))
        self.console.print(prefix + Text.from_ansi(line), soft_wrap=True)

    def _colour(self, name: str) -> str:
        return self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])


class ConsoleHandler(logging.Handler):
    """Shows devstack's own messages among the processes' lines."""

    def __init__(self, console: ProcessConsole) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            self._console.line("devstack", line)


@contextmanager
def messages_shown(console: ProcessConsole) -> Iterator[None]:
    """Until the block is left, devstack's own messages appear among the processes' lines."""
    log = logging.getLogger("devstack")
    handler = ConsoleHandler(console)
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before

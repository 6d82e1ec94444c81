"""A line for people at a terminal: time, level, event, then what belongs to it. Plain without a terminal."""

import os
import re
import sys
import traceback
from typing import Any, TextIO

from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter

from service_kit.logging.exceptions import exception_in

_LEFT_OUT = ("service", "instance", "trace_id", "user_id")
"""The same in every line of a terminal, or too long to be read in it; JSON has them."""
_EVENT_WIDTH = 34
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NEEDS_QUOTES = re.compile(r"[\s\"'=]|^$")


def console_renderer() -> ConsoleRenderer:
    """Colours on a terminal, unless NO_COLOR is set (https://no-color.org); FORCE_COLOR has them anywhere."""
    colours = "NO_COLOR" not in os.environ and (sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR")))
    styles = ConsoleRenderer.get_default_column_styles(colours)
    levels = ConsoleRenderer.get_default_level_styles(colours)

    def only_value(style: str, show: Any = str, *, width: int = 0) -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(None, style, styles.reset, value_repr=show, width=width)

    named = KeyValueColumnFormatter(styles.kv_key, styles.kv_value, styles.reset, value_repr=_value)
    return ConsoleRenderer(
        sort_keys=False,
        exception_formatter=_write_stack,
        columns=[
            Column("timestamp", only_value(styles.timestamp, _time_of_day)),
            Column("level", lambda _name, level: f"{levels.get(level, '')}{level:<8}{styles.reset}"),
            Column("event", only_value(styles.bright, _text, width=_EVENT_WIDTH)),
            Column("logger", only_value(styles.logger_name, lambda name: f"({name})")),
            *(Column(name, lambda _name, _value: "") for name in _LEFT_OUT),
            Column("", named),
        ],
    )


def _time_of_day(timestamp: str) -> str:
    """To the millisecond, in UTC as in JSON: 2026-01-31T08:15:42.123456Z → 08:15:42.123"""
    return timestamp[11:23]


def _text(event: str) -> str:
    """Control characters would let whoever has them logged write on somebody's terminal; line ends, forge a line."""
    return _CONTROL.sub(_escaped, str(event).strip()).replace("\n", "\n    ")


def _write_stack(out: TextIO, exc_info: Any) -> None:
    """Not structlog's own, which is rich's: it prints locals, and with them secrets."""
    if (error := exception_in(exc_info)) is not None:
        out.write("\n    " + _text("".join(traceback.format_exception(error))))


def _value(value: object) -> str:
    text = str(value) if isinstance(value, str | int | float) else repr(value)
    return repr(text) if _NEEDS_QUOTES.search(text) and isinstance(value, str) else _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]

"""Puts the stream together."""

import logging
import sys
from collections.abc import Iterable
from typing import Any

import structlog

from service_kit.logging.budget import LimitRepeats
from service_kit.logging.console import console_renderer
from service_kit.logging.exceptions import structured_exception
from service_kit.logging.fields import CommonFields
from service_kit.logging.json_lines import render_json
from service_kit.logging.redaction import Redaction, part_to_hide, secrets_of
from service_kit.logging.settings import LogFormat, LogLevel, LogSettings
from service_kit.logging.uncaught import log_what_nobody_caught

_QUIET = ("aio_pika", "aiormq", "asyncio", "uvicorn", "botocore", "aiobotocore", "PIL", "opentelemetry")
"""What they say below a warning is of use to whoever looks for it: LOG_LEVELS brings it back."""
_TOLD_BY_US = {
    # Starlette hands uvicorn the stack of a start that failed, as text: `process.start.failed`.
    "uvicorn.error": ("Traceback ",),
    # As errors, with stacks, at each attempt to connect: `bus.session.lost` and `bus.session.not_opened`.
    "aiormq.connection": ("error when creating transport", "Cancelling cause reader exited abnormally"),
}


def configure_logging(service: str, settings: LogSettings, *, secrets: Iterable[str] = ()) -> None:
    """From now on whatever this process has to say is a line on stdout: structlog's, the standard library's, warnings, and
    exceptions that nobody caught.

    No line shows `secrets`, nor what the settings keep as secret. A URL among them may be told, but for its password. Called
    again, it replaces what was configured before.
    """
    redaction = Redaction([*secrets_of(settings), *map(part_to_hide, secrets)])
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(LimitRepeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=_processors(service, settings.log_format, redaction))
    )
    root = logging.getLogger()
    root.handlers = [handler]
    lowest = _set_levels(root, settings)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    log_what_nobody_caught()


def _processors(service: str, log_format: LogFormat, redaction: Redaction) -> list[Any]:
    """Run by the handler, in the context of whoever logs: the same for our lines and everybody else's."""
    rendered = [structured_exception, render_json] if log_format is LogFormat.JSON else [console_renderer()]
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        CommonFields(service),
        *rendered,
        lambda _logger, _method, line: redaction(line),
    ]


def _set_levels(root: logging.Logger, settings: LogSettings) -> int:
    """The lowest that anybody has: what is below it costs no more than a call."""
    root.setLevel(settings.log_level)
    for name in _TOLD_BY_US:
        logging.getLogger(name).addFilter(_is_news)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    for name, level in settings.log_levels.items():
        logging.getLogger(name).setLevel(level)
    return logging.getLevelNamesMapping()[min((settings.log_level, *settings.log_levels.values()), key=_rank)]


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_TOLD_BY_US[record.name])


def _rank(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level]

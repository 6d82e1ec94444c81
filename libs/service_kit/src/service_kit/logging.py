"""One stream of structured lines: JSON for machines, readable in a terminal. Other libraries' lines go through it too."""

import logging
import os
import sys
from typing import Any

import structlog

from service_kit.settings import LogFormat


def configure_logging(service: str, log_format: LogFormat, level: str) -> None:
    """Sets up structlog and the standard library's logging for this process, once."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ServiceName(service),
    ]
    renderer: Any
    if log_format is LogFormat.JSON:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR")),
            pad_event_to=34,
            exception_formatter=structlog.dev.plain_traceback,  # the rich one prints locals, and with them secrets
        )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for chatty in ("aiormq", "aio_pika", "asyncio", "uvicorn.error", "botocore", "aiobotocore", "PIL", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _ServiceName:
    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service", self._service)
        return event

"""What every line says of itself, whoever wrote it: when, how grave, which service and process, whose trace."""

import logging
import os
import socket
from typing import Any

from service_kit.tracing import current_trace_id


class CommonFields:
    """structlog processor, for our lines and those of other libraries: puts the fields of every line first."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._instance = f"{socket.gethostname()}/{os.getpid()}"

    def __call__(self, _logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        record: logging.LogRecord = event.pop("_record")
        line = {
            "timestamp": event.pop("timestamp"),
            "level": event.pop("level"),
            "service": self._service,
            "event": event.pop("event"),
        }
        if not event.pop("_from_structlog"):
            line["logger"] = record.name
        line |= event
        if (trace_id := current_trace_id()) is not None:
            line.setdefault("trace_id", trace_id)
        if left_out := getattr(record, "left_out", 0):
            line["left_out"] = left_out
        line["instance"] = self._instance
        return line

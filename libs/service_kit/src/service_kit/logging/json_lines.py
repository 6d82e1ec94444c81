"""A line for machines: one JSON object."""

import json
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID


def render_json(_logger: Any, _method: str, event: dict[str, Any]) -> str:
    """Whatever is in it: a line that could not be written would be missed."""
    try:
        return _ENCODER.encode(event)
    except (TypeError, ValueError, RecursionError):  # such as a dict whose keys are tuples
        return _ENCODER.encode({str(name): repr(value) for name, value in event.items()})


def _plain(value: object) -> object:
    if isinstance(value, UUID | PurePath):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, AbstractSet):
        return sorted(value, key=str)
    return repr(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=_plain)

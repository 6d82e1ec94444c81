"""The ids that lines are found by; bound once, where a delivery or an attempt begins, with `structlog.contextvars`."""

from collections.abc import Sequence
from typing import Any

from contracts.cloudevents import CloudEvent


def ids_of(events: Sequence[CloudEvent[Any]]) -> dict[str, str]:
    """`job_id` and `attempt_id` of what was heard, if it is of one job; of many, lines name those they are about."""
    if len(events) != 1:
        return {}
    data = events[0].data
    ids: dict[str, str] = {}
    for source in (getattr(data, "job", None), data):  # a request carries its job whole
        for name in ("job_id", "attempt_id"):
            if (value := getattr(source, name, None)) is not None:
                ids[name] = str(value)
    return ids

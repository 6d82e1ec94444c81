"""Where in the stream to begin reading."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias


class Edge(StrEnum):
    FIRST = "first"
    """The oldest message that is kept."""
    LAST = "last"
    """The newest chunk: the messages that the broker last wrote together."""
    NEXT = "next"
    """Only what is said from now on."""


StartingPoint: TypeAlias = Edge | datetime | int
"""An edge, a moment, or the offset of a message. Moments are found by chunk, and to the second: the first messages may be older
by as much as one chunk spans, but none is missed. Source: https://www.rabbitmq.com/docs/streams#consuming"""

_OFFSET = "offset:"


def parse_starting_point(text: str) -> StartingPoint:
    """`first`, `last`, `next`, `offset:N`, or a moment such as ``2026-11-01T00:00:00Z``. Raises `ValueError` with a sentence."""
    if text in list(Edge):
        return Edge(text)
    if text.startswith(_OFFSET):
        number = text.removeprefix(_OFFSET)
        if number.isascii() and number.isdigit() and int(number) < 2**63:
            return int(number)
        raise ValueError(f"{text!r}: an offset is a number that is not negative, as in offset:1200")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no place in the stream: say first, last, next, resume, offset:1200 or 2026-11-01T00:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} does not say in which time zone: add Z for UTC, as in 2026-11-01T00:00:00Z")
    if moment < _EPOCH:
        raise ValueError(f"{text!r} is before 1970, where the broker's time begins: say first for the oldest message")
    return moment


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_text(start: StartingPoint) -> str:
    """What `parse_starting_point` reads back as the same."""
    match start:
        case Edge():
            return start.value
        case datetime():
            return start.astimezone(UTC).isoformat()
        case int():
            return f"{_OFFSET}{start}"

"""W3C trace context as it travels here: one string, in headers, messages and rows. https://www.w3.org/TR/trace-context/"""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")
_SAMPLED, _NOT_SAMPLED = "01", "00"
_ODD = frozenset("13579bdf")
_random = random.Random().getrandbits  # noqa: S311  # ids, no secrets; each process has a seed of its own

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The trace context of what is being done now; None outside a request, a message or an attempt."""


def is_well_formed(header: str) -> bool:
    return _TRACEPARENT.match(header) is not None


def new_trace(*, sampled: bool) -> str:
    return f"00-{_random(128):032x}-{_random(64):016x}-{_SAMPLED if sampled else _NOT_SAMPLED}"


def child_of(context: str) -> str:
    """A context of its own in the same trace, sampled like its parent: what is to be recorded under it may be said before."""
    return f"{context[:36]}{_random(64):016x}{context[52:]}"


def sampled(context: str) -> str:
    """The same place in the same trace, to be recorded from there on."""
    return context[:53] + _SAMPLED


def unsampled(context: str) -> str:
    """The same place in the same trace, not to be recorded from there on."""
    return context[:53] + _NOT_SAMPLED


def is_sampled(context: str) -> bool:
    return context[-1] in _ODD


def trace_id_of(context: str) -> str:
    """32 hexadecimal digits."""
    return context[3:35]


def span_id_of(context: str) -> str:
    """16 hexadecimal digits."""
    return context[36:52]


def same_trace(one: str, other: str) -> bool:
    return one[3:35] == other[3:35]


def current_trace_id() -> str | None:
    """The trace of what is being done now, 32 hexadecimal digits; None outside a request, a message or an attempt."""
    context = traceparent.get()
    return None if context is None else context[3:35]


@contextmanager
def within(context: str | None) -> Iterator[None]:
    """What is done in the block is done for this trace context; None: for none."""
    before = traceparent.set(context)
    try:
        yield
    finally:
        traceparent.reset(before)

"""Records spans: short ones, when they are over. Nothing is built, and nothing looked up, for a trace that is not sampled.

Not the SDK's `Tracer`: to record a span costs it 27 µs, and 3 µs here (ADR 15).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Protocol, TypeAlias, TypeGuard

from service_kit.tracing.context import child_of, is_sampled, new_trace, sampled, traceparent, unsampled

Value: TypeAlias = str | bool | int | float
Attributes: TypeAlias = Mapping[str, Value]

NOTHING: Attributes = MappingProxyType({})


class Kind(IntEnum):
    """As OTLP numbers them."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


@dataclass(frozen=True, eq=False, slots=True)
class Operation:
    """Something that is done again and again: what all its spans have in common. Made once, so that it is encoded once."""

    name: str
    """Of few different values: no ids in it."""
    kind: Kind = Kind.INTERNAL
    attributes: Attributes = field(default_factory=lambda: NOTHING)


class FinishedSpan(NamedTuple):
    operation: Operation
    context: str
    """Its own."""
    parent: str | None
    """None: the first of its trace."""
    started_ns: int
    """Since the epoch, like the end."""
    ended_ns: int
    attributes: Attributes
    links: Sequence[str]
    """Contexts of other spans that it has to do with, of whatever trace."""
    error: str | None
    """A class of errors; None: it went well. Never a message: those may hold what somebody typed."""


class Recorder(Protocol):
    """Where spans go. There is none while tracing is off."""

    def put(self, span: FinishedSpan) -> None:
        """Returns at once, and never raises."""

    def samples(self, parent: str | None, context: str, name: str) -> bool:
        """Whether what enters the system now is to be recorded."""


_recorder: Recorder | None = None


def use_recorder(recorder: Recorder | None) -> None:
    """From now on spans go there; None: nowhere."""
    global _recorder  # noqa: PLW0603  # one a process, like the logger
    _recorder = recorder


def is_recording() -> bool:
    return _recorder is not None


def is_traced(context: str | None) -> TypeGuard[str]:
    """Whether spans under this context are recorded. Ask before building what only a span needs."""
    return _recorder is not None and context is not None and is_sampled(context)


def begin_trace(parent: str | None, name: str) -> str:
    """The context of a span for what enters the system from outside, sampled or not.

    Not sampled, it is the caller's own place in the trace, so that the trace goes on without us.
    """
    context = new_trace(sampled=True) if parent is None else sampled(child_of(parent))
    if _recorder is not None and _recorder.samples(parent, context, name):
        return context
    return unsampled(parent or context)


def record(
    operation: Operation,
    context: str,
    parent: str | None,
    *,
    started_ns: int,
    ended_ns: int | None = None,
    attributes: Attributes = NOTHING,
    links: Sequence[str] = (),
    error: str | None = None,
) -> None:
    """A span that is over: `context` is its own, made by `child_of(parent)` or `new_trace`; `ended_ns`, by default, is now."""
    if _recorder is not None and is_sampled(context):
        ended_ns = time.time_ns() if ended_ns is None else ended_ns
        _recorder.put(FinishedSpan(operation, context, parent, started_ns, ended_ns, attributes, links, error))


class Span:
    """Something being done now, for as long as the block lasts; what is done within belongs under it.

    An exception that leaves the block is noted by its type, and goes on. If the trace is not sampled, nothing happens but that
    `context` is passed on.
    """

    __slots__ = (
        "_before",
        "_operation",
        "_parent",
        "_started_ns",
        "attributes",
        "context",
        "error",
        "is_recorded",
        "links",
    )

    def __init__(self, operation: Operation, parent: str | None, links: Sequence[str] = ()) -> None:
        self._operation = operation
        self._parent = parent
        self.links = links
        self.attributes: dict[str, Value] = {}
        self.error: str | None = None
        self.context = parent
        self.is_recorded = False
        if is_traced(parent):
            self.context = child_of(parent)
            self.is_recorded = True

    def __enter__(self) -> "Span":
        self._started_ns = time.time_ns() if self.is_recorded else 0
        self._before = traceparent.set(self.context)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        traceparent.reset(self._before)
        if not self.is_recorded:
            return
        assert self.context is not None
        error = self.error or (error_type.__name__ if error_type is not None else None)
        record(
            self._operation,
            self.context,
            self._parent,
            started_ns=self._started_ns,
            attributes=self.attributes,
            links=self.links,
            error=error,
        )


def span(operation: Operation, *, parent: str | None = None, links: Sequence[str] = ()) -> Span:
    """A span around a block, under `parent`; by default under what is being done now."""
    return Span(operation, parent if parent is not None else traceparent.get(), links)

"""One job, one trace: from the HTTP request through messages, rows and workers to the last file (docs/guides/tracing.md).

Light where it is off, which is wherever no collector is named: nothing of OpenTelemetry is imported then, and the trace context
is merely passed on.
"""

from service_kit.tracing.context import (
    child_of,
    current_trace_id,
    new_trace,
    same_trace,
    traceparent,
    within,
)
from service_kit.tracing.opening import open_tracing
from service_kit.tracing.spans import Attributes, Kind, Operation, Span, Value, is_recording, is_traced, record, span

__all__ = [
    "Attributes",
    "Kind",
    "Operation",
    "Span",
    "Value",
    "child_of",
    "current_trace_id",
    "is_recording",
    "is_traced",
    "new_trace",
    "open_tracing",
    "record",
    "same_trace",
    "span",
    "traceparent",
    "within",
]

"""A span as it arrived, in words instead of numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class ReceivedSpan:
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the first of its trace."""
    name: str
    kind: str
    """Such as ``SERVER``."""
    service: str
    resource: Mapping[str, object]
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, object]
    links: tuple[tuple[str, str], ...]
    """Of each the trace and the span."""
    error: str | None
    """The status's message if it is ERROR, however empty."""

    @property
    def duration_ms(self) -> float:
        return (self.ended_ns - self.started_ns) / 1e6


def read_spans(body: bytes) -> Iterator[ReceivedSpan]:
    """The spans of one export request. Raises `DecodeError` if it is none."""
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield _read(span, resource)


def _read(span: Span, resource: Mapping[str, object]) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        service=str(resource.get("service.name", "")),
        resource=resource,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        error=span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
    )


def _values(attributes: "list[KeyValue]") -> dict[str, object]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)

"""What is written by hand is what OpenTelemetry's own classes read."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service_kit.tracing import Kind, Operation
from service_kit.tracing.context import is_sampled, new_trace, span_id_of, trace_id_of
from service_kit.tracing.otlp import encode_request, encode_resource, encode_span
from service_kit.tracing.spans import FinishedSpan, Value

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
values = st.one_of(
    texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
attributes = st.dictionaries(texts, values, max_size=5)
contexts = st.builds(new_trace, sampled=st.just(True))
times = st.integers(0, 2**63)
spans = st.builds(
    FinishedSpan,
    operation=st.builds(Operation, texts, st.sampled_from(Kind), attributes),
    context=contexts,
    parent=st.none() | contexts,
    started_ns=times,
    ended_ns=times,
    attributes=attributes,
    links=st.lists(contexts, max_size=200),
    error=st.none() | texts,
)


def wire(value: Value) -> AnyValue:
    match value:
        case str():
            return AnyValue(string_value=value)
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)


def by_the_official_classes(finished: FinishedSpan) -> Span:
    all_attributes = {**finished.operation.attributes}
    span = Span(
        trace_id=bytes.fromhex(trace_id_of(finished.context)),
        span_id=bytes.fromhex(span_id_of(finished.context)),
        name=finished.operation.name,
        kind=Span.SpanKind.Value(f"SPAN_KIND_{finished.operation.kind.name}"),
        start_time_unix_nano=finished.started_ns,
        end_time_unix_nano=max(finished.started_ns, finished.ended_ns),
        flags=int(is_sampled(finished.context)),
    )
    if finished.parent is not None:
        span.parent_span_id = bytes.fromhex(span_id_of(finished.parent))
    for link in finished.links:
        span.links.add(trace_id=bytes.fromhex(trace_id_of(link)), span_id=bytes.fromhex(span_id_of(link)))
    pairs = [*all_attributes.items(), *finished.attributes.items()]
    if finished.error is not None:
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=finished.error))
        pairs.append(("error.type", finished.error))
    span.attributes.extend(KeyValue(key=key, value=wire(value)) for key, value in pairs)
    return span


@given(st.lists(spans, max_size=4), st.dictionaries(texts, texts, max_size=3))
def test_every_span_is_read_as_it_was_written(finished: list[FinishedSpan], resource: dict[str, str]) -> None:
    request = ExportTraceServiceRequest.FromString(
        encode_request(map(encode_span, finished), encode_resource(resource))
    )

    (of_resource,) = request.resource_spans
    assert {pair.key: pair.value.string_value for pair in of_resource.resource.attributes} == resource
    (of_scope,) = of_resource.scope_spans
    assert of_scope.scope.name == "pipeline3d"
    for read, written in zip(of_scope.spans, map(by_the_official_classes, finished), strict=True):
        assert sorted(map(str, read.attributes)) == sorted(map(str, written.attributes))
        read.ClearField("attributes")
        written.ClearField("attributes")
        assert read == written

"""Spans as OTLP has them, many in one request. https://opentelemetry.io/docs/specs/otlp/

The bytes are put together here, by the field numbers of opentelemetry/proto/trace/v1/trace.proto: through the generated classes a
span takes 13 µs, like this 5. The tests read what is written here with those classes.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from service_kit.tracing.context import span_id_of, trace_id_of
from service_kit.tracing.spans import Attributes, FinishedSpan, Operation

_SCOPE = "pipeline3d"
_STATUS_ERROR = b"\x18\x02"
_FLAGS = b"\x85\x01" + struct.pack("<I", 1)  # field 16: sampled

# Tags of fields that are a message or a string: number << 3 | 2.
_REQUEST_RESOURCE_SPANS = b"\x0a"
_RESOURCE, _SCOPE_SPANS = b"\x0a", b"\x12"
_SCOPE_NAME, _SPAN = b"\x0a", b"\x12"
_NAME, _ATTRIBUTE, _LINK, _STATUS = b"\x2a", b"\x4a", b"\x6a", b"\x7a"
_KEY, _VALUE, _TEXT = b"\x0a", b"\x12", b"\x0a"
_RESOURCE_ATTRIBUTE = b"\x0a"
_MESSAGE = b"\x12"
# Tags with the length that the ids always have.
_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
_KIND = b"\x30"
_TIMES = struct.Struct("<BQBQ")
_START, _END = 0x39, 0x41
_DOUBLE = struct.Struct("<Bd")


def encode_request(spans: Iterable[bytes], resource: bytes) -> bytes:
    """One ExportTraceServiceRequest of what `encode_span` and `encode_resource` have made."""
    scope_spans = _field(_SCOPE_NAME, _field(b"\x0a", _SCOPE.encode())) + b"".join(spans)
    return _field(_REQUEST_RESOURCE_SPANS, _field(_RESOURCE, resource) + _field(_SCOPE_SPANS, scope_spans))


def encode_resource(attributes: Mapping[str, str]) -> bytes:
    return _encode_attributes(_RESOURCE_ATTRIBUTE, attributes)


def encode_span(span: FinishedSpan) -> bytes:
    """One of the request's spans."""
    operation, context, parent, started_ns, ended_ns, attributes, links, error = span
    parts = [
        _TRACE_ID,
        bytes.fromhex(trace_id_of(context)),
        _SPAN_ID,
        bytes.fromhex(span_id_of(context)),
        _encode_operation(operation),
        _TIMES.pack(_START, started_ns, _END, max(started_ns, ended_ns)),  # a clock may be set back meanwhile
        _encode_attributes(_ATTRIBUTE, attributes),
    ]
    if parent is not None:
        parts += (_PARENT_ID, bytes.fromhex(span_id_of(parent)))
    if links:
        parts.append(_encode_links(links))
    if error is not None:
        parts.append(_encode_error(error))
    return _field(_SPAN, b"".join(parts))


@lru_cache(maxsize=4096)
def _encode_operation(operation: Operation) -> bytes:
    """What is the same in all its spans."""
    kind = _KIND + bytes((operation.kind,))
    return _FLAGS + _field(_NAME, operation.name.encode()) + kind + _encode_attributes(_ATTRIBUTE, operation.attributes)


def _encode_links(links: Sequence[str]) -> bytes:
    return b"".join(
        _field(_LINK, _TRACE_ID + bytes.fromhex(trace_id_of(link)) + _SPAN_ID + bytes.fromhex(span_id_of(link)))
        for link in links
    )


@lru_cache(maxsize=1000)
def _encode_error(error: str) -> bytes:
    status = _field(_STATUS, _field(_MESSAGE, error.encode()) + _STATUS_ERROR)
    return status + _encode_attributes(_ATTRIBUTE, {"error.type": error})


def _encode_attributes(tag: bytes, attributes: Attributes) -> bytes:
    return b"".join(
        [
            _encode_text(tag, _encode_key(key), value.encode("utf-8", "replace"))
            if isinstance(value, str)
            else _field(tag, _encode_key(key) + _field(_VALUE, _encode_number(value)))
            for key, value in attributes.items()
        ]
    )


def _encode_text(tag: bytes, key: bytes, text: bytes) -> bytes:
    size = len(text)
    whole = len(key) + size + 4
    if whole < 128:  # nearly all: each of the three lengths is one byte
        return b"".join((tag, _SHORT[whole], key, _VALUE, _SHORT[size + 2], _TEXT, _SHORT[size], text))
    return _field(tag, key + _field(_VALUE, _field(_TEXT, text)))


@lru_cache(maxsize=1000)
def _encode_key(key: str) -> bytes:
    return _field(_KEY, key.encode())


def _encode_number(value: bool | int | float) -> bytes:
    if isinstance(value, bool):  # before int, which it is too
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _varint(value & 0xFFFFFFFFFFFFFFFF)
    return _DOUBLE.pack(0x21, value)


def _field(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + (_SHORT[size] if size < 128 else _varint(size)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SHORT = tuple(bytes((size,)) for size in range(128))

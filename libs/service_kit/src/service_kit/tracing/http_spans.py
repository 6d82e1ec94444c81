"""Spans of requests, those that are answered here and those that are sent.

Names and attributes by OpenTelemetry's conventions for HTTP (https://opentelemetry.io/docs/specs/semconv/http/),
without what may be nobody's business: query strings, headers, and the URL of a store, which is a key to its object.
"""

import time
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope
from yarl import URL

from service_kit.measure_requests import UNKNOWN_ROUTE, route_of
from service_kit.tracing.context import is_well_formed, new_trace, traceparent
from service_kit.tracing.spans import Kind, Operation, Span, Value, begin_trace, is_recording, is_traced, record, span

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_UNSEEN = ("/health/", "/metrics")
"""Asked for every few seconds by machines, and of no job."""
_LONGEST_PATH = 200
_STORED_OBJECT = "/{bucket}/{object}"
_NOT_RECORDED = Operation(_STORED_OBJECT, Kind.CLIENT)


class ServerSpan:
    """One request that is answered here, from its first line to its last byte. Sets the current trace context."""

    __slots__ = ("_context", "_parent", "_started_ns")

    def __init__(self, scope: Scope, header: str | None) -> None:
        """`header` is the caller's trace context, if it is one."""
        self._parent = header if header is not None and is_well_formed(header) else None
        self._started_ns = 0
        if is_recording() and not scope["path"].startswith(_UNSEEN):
            self._started_ns = time.time_ns()
            self._context = begin_trace(self._parent, _method(scope))
        else:
            self._context = self._parent or new_trace(sampled=False)
        traceparent.set(self._context)

    def end(self, scope: Scope, status: int) -> None:
        """`status` is 0 if nothing was answered."""
        if not self._started_ns or not is_traced(self._context):
            return
        server = scope.get("server") or ("", None)
        attributes: dict[str, Value] = {
            "url.path": scope["path"][:_LONGEST_PATH],
            "url.scheme": scope.get("scheme", "http"),
        }
        if server[0]:
            attributes["server.address"] = server[0]
        if server[1]:
            attributes["server.port"] = server[1]
        if status:
            attributes["http.response.status_code"] = status
        if (job_id := scope.get("path_params", {}).get("job_id")) is not None:
            attributes["p3d.job.id"] = str(job_id)
        record(
            answering(_method(scope), route_of(scope)),
            self._context,
            self._parent,
            started_ns=self._started_ns,
            attributes=attributes,
            error=_server_error(status),
        )


@lru_cache(maxsize=1000)
def answering(method: str, route: str) -> Operation:
    attributes: dict[str, Value] = {"http.request.method": method}
    if route == UNKNOWN_ROUTE:
        return Operation(method, Kind.SERVER, attributes)
    return Operation(f"{method} {route}", Kind.SERVER, attributes | {"http.route": route})


def asking(method: str, base_url: str, path: str) -> Span:
    """A span around a request to one of our own services, which continues the trace: send it `span.context`."""
    return span(_asking(method, base_url, path, whole_url=True))


def transferring(method: str, url: URL) -> Span:
    """A span around a request to an object store, of whose URL no more than the host is told: it may be signed.

    The store is not told of the trace: it may be anybody's, and what it records is not ours to see.
    """
    if not is_traced(traceparent.get()):
        return span(_NOT_RECORDED)
    return span(_asking(method, str(url.origin()), _STORED_OBJECT, whole_url=False))


def note_answer(asked: Span, status: int) -> None:
    """What came back. A client's span is an error from 400 on."""
    if asked.is_recorded:
        asked.attributes["http.response.status_code"] = status
        if status >= 400:
            asked.error = str(status)


@lru_cache(maxsize=1000)
def _asking(method: str, base_url: str, path: str, *, whole_url: bool) -> Operation:
    address = urlsplit(base_url)
    attributes: dict[str, Value] = {
        "http.request.method": method,
        "url.template": path,
        "server.address": address.hostname or "",
        "server.port": address.port or (443 if address.scheme == "https" else 80),
        "url.scheme": address.scheme,
    }
    if whole_url:
        attributes["url.full"] = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}{path}"
    return Operation(f"{method} {path}", Kind.CLIENT, attributes)


def _server_error(status: int) -> str | None:
    """What the caller got wrong is no error of the server's."""
    return str(status) if status >= 500 or not status else None


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"

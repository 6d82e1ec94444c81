"""Hands portions of spans to the collector: OTLP over HTTP. https://opentelemetry.io/docs/specs/otlp/#otlphttp"""

import zlib

import urllib3
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from service_kit.tracing.settings import TracingSettings

_GZIP = 16 + zlib.MAX_WBITS
_TRY_AGAIN = (429, 502, 503, 504)
"""What the protocol calls retryable."""
_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.5


class RefusedError(Exception):
    """The collector answered, and did not take them."""


class Collector:
    """Not for use by two threads at once."""

    def __init__(self, settings: TracingSettings) -> None:
        assert settings.endpoint is not None
        self._url = settings.endpoint
        self._compresses = settings.compresses
        self._headers = settings.headers | {"content-type": "application/x-protobuf"}
        if self._compresses:
            self._headers["content-encoding"] = "gzip"
        self._connections = urllib3.PoolManager(
            num_pools=1,
            maxsize=1,
            timeout=settings.timeout_seconds,
            retries=urllib3.Retry(
                total=_TRIES,
                redirect=False,  # the headers may hold a key, which is for nobody else
                allowed_methods=None,  # POST too: a span that comes twice is one span
                status_forcelist=_TRY_AGAIN,
                backoff_factor=_FIRST_PAUSE_SECONDS,
                raise_on_status=False,
            ),
            ca_certs=_path(settings.certificate),
            cert_file=_path(settings.client_certificate),
            key_file=_path(settings.client_key),
        )

    def send(self, request: bytes) -> int:
        """How many of the spans were refused. Raises `RefusedError`, or `urllib3.exceptions.HTTPError` where nobody answers."""
        body = _gzipped(request) if self._compresses else request
        answer = self._connections.request("POST", self._url, body=body, headers=self._headers)
        if answer.status >= 300:
            raise RefusedError(f"HTTP {answer.status}")
        if not answer.data or "protobuf" not in answer.headers.get("content-type", ""):
            return 0
        return int(ExportTraceServiceResponse.FromString(answer.data).partial_success.rejected_spans)

    def close(self) -> None:
        self._connections.clear()


def _path(path: object | None) -> str | None:
    return None if path is None else str(path)


def _gzipped(request: bytes) -> bytes:
    squeeze = zlib.compressobj(level=1, wbits=_GZIP)
    return squeeze.compress(request) + squeeze.flush()

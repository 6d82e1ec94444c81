"""Listens where a collector would."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from devstack.otlp.received_span import ReceivedSpan, read_spans

_PATH = "/v1/traces"
_PROTOBUF = "application/x-protobuf"
_LARGEST_REQUEST_BYTES = 64 * 1024 * 1024


class OtlpReceiver:
    """Takes spans between `async with` and its end, plain or gzipped. `endpoint` is for OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __init__(self, *, keep: bool = True) -> None:
        """`keep`: else what comes is taken and forgotten, unread, as cheaply as can be."""
        self._keep = keep
        self._more = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.endpoint = ""
        self.spans: list[ReceivedSpan] = []
        self.requests = 0
        self.headers: Mapping[str, str] = {}
        """Of the latest request."""
        self.status = 200
        """What it answers with: a collector may be busy, too."""

    async def __aenter__(self) -> "OtlpReceiver":
        app = web.Application(client_max_size=_LARGEST_REQUEST_BYTES)
        app.router.add_post(_PATH, self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def until(self, condition: Callable[[Sequence[ReceivedSpan]], bool], *, within_seconds: float = 30.0) -> None:
        """Waits until the spans are such. Raises `TimeoutError`."""
        async with asyncio.timeout(within_seconds), self._more:
            await self._more.wait_for(lambda: condition(self.spans))

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """The spans of a trace, in the order in which they began."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.started_ns)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()  # unzipped already, where that was needed
        self.requests += 1
        self.headers = dict(request.headers)
        if self.status != 200:
            return web.Response(status=self.status)
        if request.content_type != _PROTOBUF:
            return web.Response(status=415)
        if self._keep:
            try:
                received = list(read_spans(body))
            except Exception as error:  # protobuf's own, of which there are no types
                return web.Response(status=400, text=repr(error))
            async with self._more:
                self.spans += received
                self._more.notify_all()
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type=_PROTOBUF)

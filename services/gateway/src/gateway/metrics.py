"""What the gateway counts. Labels are few and bounded: routes as written, never paths or ids."""

import time

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Histogram(
    "p3d_gateway_http_request_seconds",
    "Time to answer, by route and status.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
JOBS_CREATED = Counter("p3d_gateway_jobs_created", "Jobs whose request was confirmed by the broker.", ["model_id"])
JOBS_REPUBLISHED = Counter("p3d_gateway_jobs_republished", "Requests said again, for want of an acknowledgement.")
CANCELS_REPUBLISHED = Counter("p3d_gateway_cancels_republished", "Cancellations said again, for want of an effect.")
JOBS_NOT_SHOWN = Gauge("p3d_gateway_jobs_not_shown", "Confirmed jobs whose view waits in memory for the database.")
PUBLISH_BATCH = Histogram(
    "p3d_gateway_publish_batch_size", "Requests published as one message.", buckets=(1, 2, 5, 10, 20, 50, 100)
)
PROJECTION_BATCH = Histogram(
    "p3d_gateway_projection_batch_size", "Events applied in one transaction.", buckets=(1, 2, 5, 10, 20, 50, 100, 500)
)
PROJECTION_LAG = Gauge("p3d_gateway_projection_lag_seconds", "Age of the newest event when it was applied.")

_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


class MeasureRequests:
    """Plain ASGI middleware: it runs for every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            REQUESTS.labels(method, route, status).observe(time.perf_counter() - started)

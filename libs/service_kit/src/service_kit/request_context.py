"""What surrounds every request: an id, a trace context, a limit on its body, its time in the metrics, one line in the log."""

import re
import time
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_kit.access_log import AccessLog
from service_kit.measure_requests import measure_request
from service_kit.problems import PROBLEM_JSON, Problem, problem_body, unforeseen
from service_kit.tracing.http_spans import ServerSpan

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,128}$")


class BodyTooLargeError(Exception):
    pass


class RequestContext:
    """Plain ASGI, since it runs for every request: Starlette's BaseHTTPMiddleware costs a task and a stream each.

    Both forms of a path are one route: a trailing slash is dropped here, so that no client meets a redirect.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, access_log: AccessLog) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given_id = headers.get("x-request-id", "")
        request_id = given_id if _REQUEST_ID.match(given_id) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        scope["path"] = _without_trailing_slashes(scope)
        span = ServerSpan(scope, headers.get("traceparent"))
        structlog.contextvars.bind_contextvars(request_id=request_id)
        await self._answer(scope, headers, receive, send, span)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, send: Send, span: ServerSpan) -> None:
        request_id = scope["state"]["request_id"]
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                if scope["state"].pop("body_too_large", False):
                    # FastAPI takes whatever is raised while it reads a body for one that cannot be parsed.
                    raise BodyTooLargeError
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            self._refuse_declared_size(headers)
            await self._app(scope, self._limited(receive, scope["state"]), send_with_id)
        except BodyTooLargeError:
            scope["state"].pop("body_too_large", None)
            detail = (
                f"The body is larger than {self._max_body_bytes} bytes; upload files with an upload ticket instead."
            )
            await _refusal(request_id, Problem(413, "body_too_large", detail))(scope, receive, send_with_id)
        except Exception as error:
            # Here and not in Starlette's outermost layer, which other middleware (CORS) does not surround.
            if status:
                raise
            await _refusal(request_id, unforeseen(error))(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            measure_request(scope, status, seconds)
            span.end(scope, status)
            self._access_log(scope, status, seconds * 1000)

    def _refuse_declared_size(self, headers: Headers) -> None:
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            raise BodyTooLargeError

    def _limited(self, receive: Receive, state: dict[str, Any]) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._max_body_bytes:
                    state["body_too_large"] = True
                    raise BodyTooLargeError
            return message

        return limited


def _without_trailing_slashes(scope: Scope) -> str:
    """Only what was sent as a slash is dropped: one that is written %2F belongs to a name."""
    path: str = scope["path"]
    sent: bytes = scope.get("raw_path") or path.encode()
    count = len(sent) - len(sent.rstrip(b"/"))
    return path[: len(path) - count] or "/"


def _refusal(request_id: str, problem: Problem) -> JSONResponse:
    body = problem_body(request_id, problem.status, problem.code, problem.detail)
    return JSONResponse(body, status_code=problem.status, headers=problem.headers, media_type=PROBLEM_JSON)

"""Errors as RFC 9457 problem details: a stable code, a sentence that says what to do, the request's id."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from service_kit.allowed_methods import allowed_methods
from service_kit.errors import is_operational

log = structlog.get_logger()

PROBLEM_JSON = "application/problem+json"
_RETRY_AFTER_SECONDS = 2


class Problem(Exception):  # noqa: N818  # the RFC's own noun
    """The caller's mistake, or a refusal: raise it anywhere below a route."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.pointer = pointer
        """JSON Pointer (RFC 6901) to the field of the body that is wrong."""
        self.headers = headers or {}


def unavailable(detail: str) -> Problem:
    """503: nothing was done, try again shortly."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(_RETRY_AFTER_SECONDS)})


def problem_body(request_id: str, status: int, code: str, detail: str, pointer: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:pipeline3d:problem:{code}",
        "code": code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if pointer is not None:
        body["errors"] = [{"pointer": pointer, "detail": detail}]
    return body


def answer_with_problems(app: FastAPI) -> None:
    """Every error a route raises leaves as problem+json; `RequestContext` answers for those that nobody foresaw."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


def _answer(request: Request, problem: Problem, *, errors: list[dict[str, str]] | None = None) -> Response:
    request_id = getattr(request.state, "request_id", "")
    body = problem_body(request_id, problem.status, problem.code, problem.detail, problem.pointer)
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status_code=problem.status, headers=problem.headers, media_type=PROBLEM_JSON)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"pointer": _pointer(item["loc"]), "in": str(item["loc"][0]), "detail": item["msg"]} for item in error.errors()
    ]
    first = errors[0]
    detail = f"{first['in']}{first['pointer'] if first['pointer'] != '/' else ''}: {first['detail']}"
    return _answer(request, Problem(422, "invalid_request", detail), errors=errors)


def _pointer(location: Sequence[str | int]) -> str:
    where, *names = map(str, location)
    # A parameter has a name and no parts: what pydantic adds there is which of several types it tried.
    return "/" + "/".join(names if where == "body" else names[:1])


_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI's word for a body that could not be read
        return _answer(request, Problem(422, "invalid_request", f"The body could not be read: {error.detail}"))
    code = _CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
    detail, headers = str(error.detail), dict(error.headers or {})
    path = request.scope["path"]
    if error.status_code == 405 and (methods := ", ".join(allowed_methods(request.app, path))):
        detail, headers["Allow"] = f"{path} takes {methods}.", methods
    return _answer(request, Problem(error.status_code, code, detail, headers=headers))


def unforeseen(error: Exception) -> Problem:
    """What to say of an error that no route foresaw: 503 if a dependency is down, else 500, and only that it is our fault."""
    if isinstance(error, ClientDisconnect):
        log.info("http.request.abandoned")  # nobody is there to read the answer
        return Problem(400, "client_closed_request", "The connection ended before the body did.")
    if is_operational(error):
        log.warning("http.request.turned_away", error=repr(error))
        return unavailable("A part of the system that this needs does not answer. Try again shortly.")
    log.error("http.request.crashed", exc_info=error)
    return Problem(500, "internal_error", "This is our fault. It was logged under the request id.")

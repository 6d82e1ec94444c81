"""How long requests took, by what there is little of: the method, the route, the status."""

from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Scope

from service_kit.metrics import http_request_seconds

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
UNKNOWN_ROUTE = "unknown"


def measure_request(scope: Scope, status: int, seconds: float) -> None:
    """Counts a request that was answered with `status`; 0: it was not. Whatever is asked for, the series stay few."""
    method = scope["method"] if scope["method"] in _METHODS else "other"
    http_request_seconds(method, route_of(scope), status).observe(seconds)


def route_of(scope: Scope) -> str:
    """The path as the route that took the request has it, such as ``/jobs/{job_id}``; ``unknown`` if none did."""
    if (route := scope.get("route")) is not None:
        return str(getattr(route, "path", UNKNOWN_ROUTE))
    # FastAPI notes its own routes in the scope; of Starlette's, such as /metrics, only the endpoint is there.
    return _plain_routes(scope["app"]).get(scope.get("endpoint"), UNKNOWN_ROUTE)


@cache
def _plain_routes(app: FastAPI) -> dict[Any, str]:
    return {route.endpoint: route.path for route in app.routes if type(route) is Route}

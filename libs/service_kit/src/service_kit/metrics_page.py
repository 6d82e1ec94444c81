"""`/metrics`, in Prometheus' text format."""

import hmac
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from service_kit.problems import Problem


def metrics_page(token: SecretStr | None) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint. With a token it answers only those who bring it (`Authorization: Bearer`, RFC 6750)."""
    wanted = None if token is None else f"Bearer {token.get_secret_value()}".encode()

    async def answer_metrics(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if wanted is not None and not hmac.compare_digest(given, wanted):
            detail = "The metrics of this service are for those who send METRICS_TOKEN as `Authorization: Bearer`."
            raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return answer_metrics

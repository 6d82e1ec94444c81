"""Counters that every service has, and the page they are read from."""

from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.requests import Request
from starlette.responses import Response

DEAD_LETTERS = Counter("p3d_dead_letters", "Messages put on a dead-letter queue.", ["queue", "reason"])
RETENTION_REMOVED = Counter("p3d_retention_removed", "What retention has removed.", ["what"])


async def metrics_page(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

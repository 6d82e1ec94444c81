"""Who may ask: a token per caller, which opens that caller's routes and no other."""

import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.artifacts_api import ArtifactsProblem
from service_kit.problems import PROBLEM_JSON, problem_body

_GUARDED = "/internal"


class CallerTokens:
    """Answers 401 to every path under `/internal` that the request's bearer token does not open.

    Plain ASGI, before routing: a stranger learns neither which routes exist nor whether a body would have been valid.
    """

    def __init__(self, app: ASGIApp, *, tokens: Mapping[str, str]) -> None:
        """`tokens` maps a path prefix, such as `/internal/worker/`, to the token that opens it."""
        self._app = app
        self._tokens = {prefix: token.encode() for prefix, token in tokens.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED) or self._opens(scope):
            await self._app(scope, receive, send)
            return
        detail = "This route needs its caller's token: send it as 'Authorization: Bearer <token>'."
        body = problem_body(scope["state"]["request_id"], 401, ArtifactsProblem.UNAUTHORIZED, detail)
        headers = {"WWW-Authenticate": "Bearer"}
        answer = JSONResponse(body, status_code=401, headers=headers, media_type=PROBLEM_JSON)
        await answer(scope, receive, send)

    def _opens(self, scope: Scope) -> bool:
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        expected = next((token for prefix, token in self._tokens.items() if scope["path"].startswith(prefix)), None)
        # Compared in constant time, so that the time of the answer does not tell how many characters were right.
        return expected is not None and kind.lower() == "bearer" and hmac.compare_digest(given.encode(), expected)

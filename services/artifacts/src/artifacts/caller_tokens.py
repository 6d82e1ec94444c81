"""Who may ask: a token per caller, which opens that caller's routes and no other."""

import hmac
from collections.abc import Mapping, Sequence

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

    def __init__(self, app: ASGIApp, *, tokens: Mapping[str, Sequence[str]]) -> None:
        """`tokens` maps a path prefix, such as `/internal/worker/`, to those that open it: two while one replaces another."""
        self._app = app
        self._tokens = {prefix: [token.encode() for token in these] for prefix, these in tokens.items()}

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
        expected = next((tokens for prefix, tokens in self._tokens.items() if scope["path"].startswith(prefix)), ())
        # Each compared in constant time, so that the time of the answer does not tell how many characters were right.
        matches = [hmac.compare_digest(given.encode(), token) for token in expected]
        return kind.lower() == "bearer" and any(matches)

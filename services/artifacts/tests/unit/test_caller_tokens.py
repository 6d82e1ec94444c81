"""While a token is being changed, its caller is let in with the new one and with the old one."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from artifacts.caller_tokens import CallerTokens

NEW, OLD, OTHERS = "new-token-0123456", "old-token-0123456", "others-token-0123"


async def _inner(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(("token", "status"), [(NEW, 200), (OLD, 200), (OTHERS, 401), (f"{NEW},{OLD}", 401), ("", 401)])
async def test_both_tokens_open_while_one_replaces_the_other(token: str, status: int) -> None:
    guarded = CallerTokens(_inner, tokens={"/internal/gateway/": [NEW, OLD], "/internal/worker/": [OTHERS]})
    answered: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "path": "/internal/gateway/x", "headers": headers, "state": {"request_id": "r"}}
    await guarded(scope, receive, send)
    assert answered == [status]

"""What stands around the gateway in tests: a small artifacts service, and connections that can be cut."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from contracts import artifacts_api as api
from devstack.severable import SeverableWay


@dataclass
class StandInArtifacts:
    """Knows uploads by (user, object); answers as the contract says, and 503 while `is_down`."""

    url: str = ""
    token: str = "the-gateways-token"
    uploads: set[tuple[str, str]] = field(default_factory=set)
    artifacts: dict[str, list[api.Artifact]] = field(default_factory=dict)
    asked_attempts: dict[str, str | None] = field(default_factory=dict)
    is_down: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _problem(401, "unauthorized")
        if self.is_down:
            return _problem(503, "storage_unavailable")
        body = await request.json()
        match request.path:
            case api.UPLOAD_TICKETS_PATH if body["content_type"] != "image/png":
                return _problem(422, "unsupported_content_type", pointer="/content_type")
            case api.UPLOAD_TICKETS_PATH:
                name = f"uploads/{secrets.token_hex(8)}"
                self.uploads.add((body["user_id"], name))
                ticket = api.UploadTicket(
                    upload_url=f"http://storage/{name}?signed",
                    object_name=name,
                    headers={"Content-Type": body["content_type"]},
                    expires_in=900,
                    max_bytes=1000,
                )
                return web.json_response(text=ticket.model_dump_json(), status=201)
            case api.UPLOAD_CHECKS_PATH if (body["user_id"], body["object_name"]) not in self.uploads:
                return _problem(404, "upload_not_found")
            case api.UPLOAD_CHECKS_PATH:
                check = api.UploadCheck(object_name=body["object_name"], content_type="image/png", size_bytes=3)
                return web.json_response(text=check.model_dump_json())
            case api.JOB_ARTIFACTS_PATH:
                self.asked_attempts[body["job_id"]] = body["attempt_id"]
                found = api.JobArtifacts(artifacts=tuple(self.artifacts.get(body["job_id"], ())))
                return web.json_response(text=found.model_dump_json())
        return _problem(404, "not_found")


def _problem(status: int, code: str, pointer: str | None = None) -> web.Response:
    errors = [{"pointer": pointer, "detail": code}] if pointer else []
    body = {"code": code, "detail": f"This is {code}.", "status": status, "errors": errors}
    return web.json_response(body, status=status, content_type="application/problem+json")


@pytest.fixture(scope="session")
async def artifacts() -> AsyncIterator[StandInArtifacts]:
    stand_in = StandInArtifacts()
    app = web.Application()
    app.router.add_post("/{path:.*}", stand_in.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stand_in.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stand_in
    await runner.cleanup()


@pytest.fixture
async def way_to() -> AsyncIterator[Callable[[str], Awaitable[SeverableWay]]]:
    """Makes ways to servers that can be cut."""
    async with AsyncExitStack() as made:

        async def make(url: str) -> SeverableWay:
            return await made.enter_async_context(SeverableWay(url))

        yield make

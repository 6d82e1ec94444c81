"""The running service as its callers, the gateway and the workers, see it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import aiohttp
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from yarl import URL

from contracts import artifacts_api as api
from contracts.ids import AttemptId, JobId, ObjectName, UserId
from contracts.outputs import ArtifactKind, OutputFile

GATEWAY_TOKEN, WORKER_TOKEN = "gateway-token-of-the-tests", "worker-token-of-the-tests"
ORIGIN = "http://editor.test"
MAX_BYTES = 50_000
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    def read(self, model: type[M]) -> M:
        assert self.status in {200, 201}, self.body
        return model.model_validate(self.body)


@dataclass(frozen=True, slots=True)
class Service:
    """The running service as its callers see it."""

    url: str
    http: aiohttp.ClientSession

    async def ask(self, path: str, question: BaseModel | dict[str, Any], *, token: str | None = None) -> Answer:
        token = token or (GATEWAY_TOKEN if "/gateway/" in path else WORKER_TOKEN)
        body = question.model_dump(mode="json") if isinstance(question, BaseModel) else question
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.post(self.url + path, json=body, headers=headers) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    async def ticket(
        self, user: UserId, *, filename: str = "chair.png", content_type: str = "image/png"
    ) -> api.UploadTicket:
        question = api.UploadTicketRequest(user_id=user, filename=filename, content_type=content_type)
        return (await self.ask(api.UPLOAD_TICKETS_PATH, question)).read(api.UploadTicket)

    async def uploaded(self, user: UserId, data: bytes = PNG, *, filename: str = "chair.png") -> ObjectName:
        ticket = await self.ticket(user, filename=filename)
        assert await self.put(ticket.upload_url, data, ticket.headers) == 200
        return ticket.object_name

    async def check(self, user: UserId, object_name: str) -> Answer:
        question = api.UploadCheckRequest(user_id=user, object_name=ObjectName(object_name))
        return await self.ask(api.UPLOAD_CHECKS_PATH, question)

    async def artifacts_of(
        self, job: JobId, user: UserId, attempt: AttemptId | None = None
    ) -> tuple[api.Artifact, ...]:
        question = api.JobArtifactsRequest(job_id=job, user_id=user, attempt_id=attempt)
        return (await self.ask(api.JOB_ARTIFACTS_PATH, question)).read(api.JobArtifacts).artifacts

    async def health(self) -> tuple[int, dict[str, Any]]:
        async with self.http.get(f"{self.url}/health/ready") as response:
            return response.status, await response.json()

    async def put(self, url: str, data: bytes, headers: Mapping[str, str]) -> int:
        async with self.http.put(URL(url, encoded=True), data=data, headers=headers) as response:
            return response.status

    async def get(self, url: str) -> tuple[int, bytes, Mapping[str, str]]:
        async with self.http.get(URL(url, encoded=True)) as response:
            return response.status, await response.read(), response.headers


@dataclass(frozen=True, slots=True)
class Attempt:
    """A worker's view of what it runs."""

    job_id: JobId
    attempt_id: AttemptId
    user_id: UserId

    def grant_request(self, *outputs: OutputFile) -> api.OutputGrantRequest:
        return api.OutputGrantRequest(job_id=self.job_id, attempt_id=self.attempt_id, outputs=outputs)

    def registration_request(self, *outputs: OutputFile) -> api.RegistrationRequest:
        return api.RegistrationRequest(
            job_id=self.job_id, attempt_id=self.attempt_id, user_id=self.user_id, outputs=outputs
        )

    async def upload(self, service: Service, contents: Mapping[OutputFile, bytes]) -> None:
        grant = (await service.ask(api.OUTPUT_GRANTS_PATH, self.grant_request(*contents))).read(api.OutputGrant)
        for upload, data in zip(grant.uploads, contents.values(), strict=True):
            assert await service.put(upload.url, data, upload.headers) == 200


def output(data: bytes, name: str = "model.glb", **changes: Any) -> OutputFile:
    """The file as an honest worker describes it."""
    described: dict[str, Any] = {
        "name": name,
        "kind": ArtifactKind.MODEL,
        "content_type": "model/gltf-binary",
        "size_bytes": len(data),
        "sha256": sha256(data).hexdigest(),
    }
    return OutputFile(**(described | changes))


async def eventually(read: Callable[[], Awaitable[T]], *, timeout_seconds: float = 10) -> T:
    """What `read` answers once that is true."""
    async with asyncio.timeout(timeout_seconds):
        while not (answer := await read()):  # noqa: ASYNC110  # it is another process's state that is waited for
            await asyncio.sleep(0.01)
    return answer


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leaves Ctrl-C to pytest."""
        yield


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[Service]:
    """The app behind a real server on a free port, in this loop."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await eventually(lambda: _started(server, running))
            async with aiohttp.ClientSession() as http:
                yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}", http)
        finally:
            server.should_exit = True
            await running


async def _started(server: uvicorn.Server, running: "asyncio.Task[None]") -> bool:
    if running.done():
        await running
        raise RuntimeError("the app did not start")
    return server.started


async def migrate(database_url: str, *arguments: str) -> None:
    """Runs the service's own migration command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "artifacts.migrate", *arguments), env={**os.environ, "DATABASE_URL": database_url}
    )
    assert await process.wait() == 0

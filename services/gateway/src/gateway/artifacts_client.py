"""Asks the artifacts service, over connections that are kept open."""

import asyncio
import ssl
import time
from typing import Any, TypeVar

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError

from contracts import artifacts_api as api
from contracts.ids import AttemptId, JobId, ObjectName, UserId
from contracts.message import Value
from service_kit.problems import Problem, unavailable
from service_kit.tracing.http_spans import asking, note_answer

log = structlog.get_logger()

A = TypeVar("A", bound=BaseModel)

_IDLE_CONNECTION_SECONDS = 60
_CARRIES_THE_CALLERS_WORDS = {api.UPLOAD_TICKETS_PATH, api.UPLOAD_CHECKS_PATH}
_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1


class ArtifactsClient:
    """Its answers, or a problem for the caller: 422 for what the caller got wrong, 503 while it does not answer."""

    def __init__(self, base_url: str, *, token: str, timeout_seconds: float, tls: ssl.SSLContext | bool = True) -> None:
        """`tls` as aiohttp has it, for an ``https://`` URL."""
        self._base_url = base_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=100, keepalive_timeout=_IDLE_CONNECTION_SECONDS, ssl=self._tls)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, headers=self._headers)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def upload_ticket(self, user_id: UserId, filename: str, content_type: str) -> api.UploadTicket:
        request = api.UploadTicketRequest(user_id=user_id, filename=filename, content_type=content_type)
        return await self._ask(api.UPLOAD_TICKETS_PATH, request, api.UploadTicket)

    async def check_upload(self, user_id: UserId, object_name: ObjectName, *, pointer: str) -> api.UploadCheck:
        """`pointer` names the field of the caller's body that names the object."""
        request = api.UploadCheckRequest(user_id=user_id, object_name=object_name)
        return await self._ask(api.UPLOAD_CHECKS_PATH, request, api.UploadCheck, pointer=pointer)

    async def job_artifacts(
        self, job_id: JobId, user_id: UserId, winning_attempt_id: AttemptId | None
    ) -> tuple[api.Artifact, ...]:
        request = api.JobArtifactsRequest(job_id=job_id, user_id=user_id, attempt_id=winning_attempt_id)
        return (await self._ask(api.JOB_ARTIFACTS_PATH, request, api.JobArtifacts)).artifacts

    async def _ask(self, path: str, question: Value, answer_type: type[A], *, pointer: str | None = None) -> A:
        headers = {"content-type": "application/json"}
        with asking("POST", self._base_url, path) as span:
            if span.context is not None:
                headers["traceparent"] = span.context
            try:
                status, body = await self._post_patiently(path, question.model_dump_json(), headers)
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("gateway.artifacts.not_reached", path=path, error=repr(error))
                raise unavailable("The file storage does not answer at the moment. Try again shortly.") from None
            note_answer(span, status)
        if status >= 300:
            raise _refusal(path, status, body, pointer)
        return answer_type.model_validate_json(body)

    async def _post_patiently(self, path: str, question: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Asks again, for a moment, where the connection is refused or ends: the service restarts, or closed a connection that
        was kept open in the instant it was used again. Every question may be asked twice.
        """
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return await self._post(path, question, headers)
            except aiohttp.ClientConnectionError:
                if time.monotonic() >= give_up_at:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _post(self, path: str, question: str, headers: dict[str, str]) -> tuple[int, bytes]:
        assert self._session is not None, "start() comes first"
        async with self._session.post(
            self._base_url + path, data=question, headers=headers, allow_redirects=False
        ) as response:
            return response.status, await response.read()


class _ArtifactsProblem(BaseModel):
    """What is read of a problem+json."""

    code: str
    detail: str
    errors: list[dict[str, Any]] = []


def _refusal(path: str, status: int, body: bytes, pointer: str | None) -> Problem:
    """A refusal of what the caller said is passed on; one of the gateway itself, or a failure, is ours to mend: 503."""
    try:
        problem = _ArtifactsProblem.model_validate_json(body)
    except ValidationError:
        problem = None
    is_ours = status >= 500 or status in {401, 403, 429} or path not in _CARRIES_THE_CALLERS_WORDS
    if is_ours or problem is None:
        code = problem.code if problem else None
        log.error("gateway.artifacts.refused", path=path, status=status, code=code)
        return unavailable("The file storage cannot be used at the moment. Try again shortly.")
    if pointer is None and problem.errors:
        pointer = problem.errors[0].get("pointer")
    return Problem(422, problem.code, problem.detail, pointer=pointer)

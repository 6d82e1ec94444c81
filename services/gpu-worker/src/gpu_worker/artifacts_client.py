"""Asks the artifacts service: where is my input, where may I put my outputs, here they are."""

from collections.abc import Sequence
from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from contracts import artifacts_api as api
from contracts.attempts import RunAttempt
from contracts.failures import FailureCode
from contracts.outputs import OutputFile
from gpu_worker.failures import AttemptError
from gpu_worker.storage_patience import PassingError
from service_kit.tracing.http_spans import asking, note_answer

A = TypeVar("A", bound=BaseModel)

_TIMEOUT_SECONDS = 30.0
_CONNECT_TIMEOUT_SECONDS = 5.0
_VERIFIED_BYTES_PER_SECOND = 5_000_000
"""The service reads what it registers, all of it. The slowest store that is worth waiting for."""
_LONGEST_PROBLEM_BYTES = 10_000


class OutputsNotStoredError(PassingError):
    """The store does not hold what was uploaded: it has to be uploaded again."""


class ArtifactsClient:
    """Asks once; every question is safe to repeat.

    Raises PassingError, aiohttp.ClientError or TimeoutError if asking again may help, AttemptError if the service refuses:
    STORAGE_UNAVAILABLE unless a method says otherwise.
    """

    def __init__(self, session: aiohttp.ClientSession, *, base_url: str, token: str) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def grant_input(self, task: RunAttempt) -> api.InputGrant:
        """A presigned GET of the attempt's input. Raises AttemptError(INPUT_NOT_FOUND) if it is gone."""
        assert task.input_object is not None
        question = api.InputGrantRequest(
            job_id=task.job_id, attempt_id=task.attempt_id, user_id=task.user_id, input_object=task.input_object
        )
        return await self._ask(api.INPUT_GRANTS_PATH, question, api.InputGrant)

    async def grant_outputs(self, task: RunAttempt, outputs: Sequence[OutputFile]) -> api.OutputGrant:
        """A presigned PUT for each output, into the attempt's own folder."""
        question = api.OutputGrantRequest(job_id=task.job_id, attempt_id=task.attempt_id, outputs=tuple(outputs))
        grant = await self._ask(api.OUTPUT_GRANTS_PATH, question, api.OutputGrant)
        if {target.name for target in grant.uploads} != {output.name for output in outputs}:
            message = "the artifacts service granted other files than were asked for"
            raise AttemptError(FailureCode.STORAGE_UNAVAILABLE, message)
        return grant

    async def register(self, task: RunAttempt, outputs: Sequence[OutputFile]) -> None:
        """Returns when the service has verified what was uploaded and registered it. Raises OutputsNotStoredError."""
        question = api.RegistrationRequest(
            job_id=task.job_id, attempt_id=task.attempt_id, user_id=task.user_id, outputs=tuple(outputs)
        )
        reading_seconds = sum(output.size_bytes for output in outputs) / _VERIFIED_BYTES_PER_SECOND
        await self._ask(api.REGISTRATIONS_PATH, question, api.Registration, extra_seconds=reading_seconds)

    async def _ask(self, path: str, question: BaseModel, answer_type: type[A], *, extra_seconds: float = 0.0) -> A:
        body = question.model_dump_json(exclude_none=True)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS + extra_seconds, sock_connect=_CONNECT_TIMEOUT_SECONDS)
        with asking("POST", self._base_url, path) as span:
            headers = self._headers if span.context is None else self._headers | {"traceparent": span.context}
            async with self._session.post(
                self._base_url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                note_answer(span, response.status)
                if response.status >= 300:
                    raise _refusal(path, response.status, await response.content.read(_LONGEST_PROBLEM_BYTES))
                content = await response.read()
        try:
            return answer_type.model_validate_json(content)
        except ValidationError as error:
            # Perhaps a proxy's page, while the service behind it restarts.
            raise PassingError(f"an answer at {path} that is not understood ({error.error_count()} errors)") from None


class _Problem(BaseModel):
    code: str = ""
    detail: str = "no detail"


def _refusal(path: str, status: int, content: bytes) -> Exception:
    problem = _problem(content)
    detail = problem.detail[:300]
    if problem.code == api.ArtifactsProblem.UPLOAD_NOT_FOUND:
        return AttemptError(FailureCode.INPUT_NOT_FOUND, detail)
    if problem.code in {api.ArtifactsProblem.OUTPUT_MISSING, api.ArtifactsProblem.OUTPUT_MISMATCH}:
        return OutputsNotStoredError(detail)
    # A 404 without a code of the service's is a proxy's: there is nothing behind it at the moment.
    if status in {404, 408, 429} or status >= 500:
        return PassingError(f"HTTP {status}")
    hint = "; check the worker's ARTIFACTS_TOKEN" if status in (401, 403) else ""
    message = f"the artifacts service refused {path} with HTTP {status}: {detail}{hint}"
    return AttemptError(FailureCode.STORAGE_UNAVAILABLE, message)


def _problem(content: bytes) -> _Problem:
    try:
        return _Problem.model_validate_json(content)
    except ValidationError:
        return _Problem()

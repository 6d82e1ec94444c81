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
from gpu_worker.http_retry import PassingError, with_retries

A = TypeVar("A", bound=BaseModel)

_TIMEOUT = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
_LONGEST_PROBLEM_BYTES = 10_000


class ArtifactsClient:
    """Every question is safe to repeat, and is. Raises AttemptError: STORAGE_UNAVAILABLE unless a method says otherwise."""

    def __init__(self, session: aiohttp.ClientSession, *, base_url: str, token: str, tries: int) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._tries = tries

    async def grant_input(self, task: RunAttempt) -> api.InputGrant:
        """A presigned GET of the attempt's input. Raises AttemptError(INPUT_NOT_FOUND) if it is gone."""
        assert task.input_object is not None
        question = api.InputGrantRequest(
            job_id=task.job_id, attempt_id=task.attempt_id, user_id=task.user_id, input_object=task.input_object
        )
        return await self._ask(api.INPUT_GRANTS_PATH, question, api.InputGrant, not_found=FailureCode.INPUT_NOT_FOUND)

    async def grant_outputs(self, task: RunAttempt, outputs: Sequence[OutputFile]) -> api.OutputGrant:
        """A presigned PUT for each output, into the attempt's own folder."""
        question = api.OutputGrantRequest(job_id=task.job_id, attempt_id=task.attempt_id, outputs=tuple(outputs))
        return await self._ask(api.OUTPUT_GRANTS_PATH, question, api.OutputGrant)

    async def register(self, task: RunAttempt, outputs: Sequence[OutputFile]) -> None:
        """Returns when the service has verified what was uploaded and registered it."""
        question = api.RegistrationRequest(
            job_id=task.job_id, attempt_id=task.attempt_id, user_id=task.user_id, outputs=tuple(outputs)
        )
        await self._ask(api.REGISTRATIONS_PATH, question, api.Registration)

    async def _ask(
        self,
        path: str,
        question: BaseModel,
        answer_type: type[A],
        *,
        not_found: FailureCode = FailureCode.STORAGE_UNAVAILABLE,
    ) -> A:
        body = question.model_dump_json(exclude_none=True)

        async def once() -> A:
            async with self._session.post(
                self._base_url + path, data=body, headers=self._headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                content = await response.content.read(_LONGEST_PROBLEM_BYTES) if response.status >= 300 else None
                if content is not None:
                    raise _refusal(path, response.status, content, not_found)
                return answer_type.model_validate_json(await response.read())

        try:
            return await with_retries(f"asking the artifacts service at {path}", once, tries=self._tries)
        except ValidationError as error:
            message = f"the artifacts service's answer at {path} is not understood: {error.error_count()} errors"
            raise AttemptError(FailureCode.STORAGE_UNAVAILABLE, message) from error


def _refusal(path: str, status: int, content: bytes, not_found: FailureCode) -> Exception:
    if status in (408, 429) or status >= 500:
        return PassingError(f"HTTP {status}")
    code = not_found if status == 404 else FailureCode.STORAGE_UNAVAILABLE
    hint = "; check the worker's ARTIFACTS_TOKEN" if status in (401, 403) else ""
    return AttemptError(code, f"the artifacts service refused {path} with HTTP {status}: {_detail(content)}{hint}")


class _ProblemDetail(BaseModel):
    detail: str = "no detail"


def _detail(content: bytes) -> str:
    try:
        return _ProblemDetail.model_validate_json(content).detail[:300]
    except ValidationError:
        return "no detail"

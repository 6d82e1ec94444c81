"""A client of the REST API, as a front end would write one."""

from types import TracebackType
from typing import Any

import aiohttp

from devstack.errors import DevstackError


class ApiProblemError(DevstackError):
    """The API said no. The message is the problem's own `detail` (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"the API answered {status}"))
        self.status = status
        self.code = problem.get("code")


class ApiClient:
    """Speaks to the API as one user."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = f"{url}/api/v1"
        self._api_key = api_key

    async def __aenter__(self) -> "ApiClient":
        timeout = aiohttp.ClientTimeout(total=60)
        self._api = aiohttp.ClientSession(headers={"x-api-key": self._api_key}, timeout=timeout)
        # Presigned URLs carry their own credentials: the API key is not the store's business.
        self._store = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._api.close()
        await self._store.close()

    async def models(self) -> list[dict[str, Any]]:
        models: list[dict[str, Any]] = (await self._call("GET", "/models"))["models"]
        return models

    async def upload_ticket(self, filename: str, content_type: str) -> dict[str, Any]:
        return await self._call("POST", "/jobs/upload-ticket", {"filename": filename, "content_type": content_type})

    async def upload(self, ticket: dict[str, Any], content: bytes) -> None:
        async with self._store.request(
            ticket["method"], ticket["upload_url"], data=content, headers=ticket["headers"]
        ) as response:
            await _accept(response)

    async def create_job(
        self,
        model_id: str,
        input_params: dict[str, Any],
        *,
        prompt: str | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        body = {"model_id": model_id, "input_params": input_params, "prompt": prompt}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else None
        return await self._call("POST", "/jobs/", body, headers)

    async def job(self, job_id: str) -> dict[str, Any]:
        return await self._call("GET", f"/jobs/{job_id}")

    async def jobs(self, *, status: str | None = None, limit: int = 100) -> dict[str, Any]:
        """A page of one's own jobs, newest first: `jobs` and `next_cursor`."""
        return await self._call("GET", f"/jobs?limit={limit}" + (f"&status={status}" if status else ""))

    async def cancel(self, job_id: str) -> dict[str, Any]:
        return await self._call("POST", f"/jobs/{job_id}/cancel")

    async def events(self, job_id: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = (await self._call("GET", f"/jobs/{job_id}/events"))["events"]
        return events

    async def artifacts(self, job_id: str) -> list[dict[str, Any]]:
        artifacts: list[dict[str, Any]] = (await self._call("GET", f"/jobs/{job_id}/artifacts"))["artifacts"]
        return artifacts

    async def download_url(self, job_id: str) -> str:
        return str((await self._call("GET", f"/jobs/{job_id}/download"))["download_url"])

    async def fetch(self, presigned_url: str) -> bytes:
        async with self._store.get(presigned_url) as response:
            await _accept(response)
            return await response.read()

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        async with self._api.request(method, self._url + path, json=body, headers=headers) as response:
            await _accept(response)
            answer: dict[str, Any] = await response.json()
            return answer


async def _accept(response: aiohttp.ClientResponse) -> None:
    if response.status >= 400:
        try:
            problem = await response.json(content_type=None)
        except ValueError:
            problem = None
        raise ApiProblemError(response.status, problem if isinstance(problem, dict) else {})

"""What journeys do, in their own words."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from devstack.api_client import ApiClient

ASSETS = Path(__file__).parent.parent / "assets"


class Raw:
    """Requests that may be wrong: answers status, headers and body, whatever they are."""

    def __init__(self, session: aiohttp.ClientSession, url: str, api_key: str) -> None:
        self.session = session
        self.url = url
        self.api_key = api_key

    async def __call__(self, method: str, path: str, **request: Any) -> tuple[int, Any, Any]:
        headers = {"x-api-key": self.api_key} | request.pop("headers", {})
        async with self.session.request(
            method, self.url + path, headers=headers, allow_redirects=False, **request
        ) as response:
            return response.status, response.headers, await response.json(content_type=None)


async def eventually(check: Callable[[], Awaitable[Any]], *, within_seconds: float = 30.0) -> Any:
    """The first truthy answer; fails with the last one otherwise."""
    until = time.monotonic() + within_seconds
    while not (answer := await check()):
        assert time.monotonic() < until, f"not within {within_seconds} s; last: {answer!r}"
        await asyncio.sleep(0.02)
    return answer


async def over(api: ApiClient, job_id: str, *, within_seconds: float = 60.0) -> dict[str, Any]:
    """The job, once it is in a terminal state."""

    async def terminal() -> dict[str, Any] | None:
        job = await api.job(job_id)
        return job if job["status"] in {"SUCCEEDED", "FAILED", "CANCELLED"} else None

    job: dict[str, Any] = await eventually(terminal, within_seconds=within_seconds)
    return job


async def running(api: ApiClient, job_id: str) -> dict[str, Any]:
    async def is_running() -> dict[str, Any] | None:
        job = await api.job(job_id)
        return job if job["status"] == "RUNNING" else None

    job: dict[str, Any] = await eventually(is_running)
    return job


async def uploaded(api: ApiClient, content: bytes, content_type: str = "image/png") -> str:
    """The object name of an image that was uploaded."""
    ticket = await api.upload_ticket("picture", content_type)
    await api.upload(ticket, content)
    return str(ticket["object_name"])


async def simulated(api: ApiClient, **params: Any) -> str:
    """The id of a new job that takes no time unless told otherwise."""
    job = await api.create_job("simulated-v1", {"duration_seconds": 0, "steps": 1} | params)
    return str(job["id"])


async def serves(api: ApiClient, models: set[str]) -> bool:
    return models <= {model["id"] for model in await api.models() if model["served"]}

"""Clients as a careful front end has them: every POST carries a key and is repeated, elsewhere, until it is answered."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

import aiohttp
from history import TERMINAL, Accepted, Outcome, Sighting
from orders import Order

_TIMEOUT_SECONDS = 6.0
_LONGEST_PAUSE_SECONDS = 1.5


class Clients:
    """Speaks to all gateways as one user, and remembers every answer that promises something."""

    def __init__(self, urls: Sequence[str], api_key: str, seed: int) -> None:
        self._urls = [f"{url}/api/v1" for url in urls]
        self._api_key = api_key
        self._draw = random.Random(seed)
        self._began = time.monotonic()
        self.accepted: list[Accepted] = []
        self.sightings: list[Sighting] = []
        self.over: dict[str, Outcome] = {}
        self.waiting: dict[str, None] = {}
        """Accepted jobs that nobody saw ended yet."""
        self.answers: Counter[str] = Counter()
        """By request and status; what did not arrive counts by its error."""
        self.surprises: list[str] = []
        """Answers the contract does not have for these requests."""

    async def __aenter__(self) -> "Clients":
        self._session = aiohttp.ClientSession(
            headers={"x-api-key": self._api_key}, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        )
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def order(self, order: Order) -> str:
        """The id of the job, once a gateway has answered with it."""
        url = self._draw.randrange(len(self._urls))
        copies = 2 if order.sent_twice_at_once else 1
        job_ids = await asyncio.gather(*(self._order_from(order, url + copy) for copy in range(copies)))
        return job_ids[0]

    async def cancel(self, job_id: str) -> None:
        """Returns when a gateway has taken the request, or the job is over."""
        status, body = await self._until_answered("POST", f"/jobs/{job_id}/cancel", expected={200, 202})
        if status == 200 and body is not None:
            self._see(body)

    async def look(self, job_id: str) -> dict[str, Any] | None:
        """The job as some gateway shows it now; None if it did not answer, or does not show it yet."""
        status, body = await self._request("GET", f"/jobs/{job_id}", self._draw.randrange(len(self._urls)))
        if status not in {200, 404, 503, None}:
            self.surprises.append(f"GET of {job_id}: {status} {body}")
        if status == 200 and body is not None:
            self._see(body)
            return body
        return None

    async def get(self, path: str, url: int = 0) -> tuple[int | None, dict[str, Any] | None]:
        return await self._request("GET", path, url)

    def seen_lately(self) -> str | None:
        """Some job that was seen ended before, to be looked at again."""
        return self._draw.choice(self.sightings[-400:]).job_id if self.sightings else None

    async def _order_from(self, order: Order, url: int) -> str:
        status, body = await self._until_answered(
            "POST",
            "/jobs/",
            expected={200, 201},
            url=url,
            json=order.body,
            headers={"Idempotency-Key": order.key},
        )
        assert body is not None, status
        job_id = str(body["id"])
        if job_id not in self.over:
            self.waiting[job_id] = None
        self.accepted.append(Accepted(order.key, job_id, order.makes_model))
        self._see(body)
        return job_id

    async def _until_answered(
        self, method: str, path: str, *, expected: set[int], url: int = 0, **request: Any
    ) -> tuple[int, dict[str, Any] | None]:
        pause = 0.1
        while True:
            status, body = await self._request(method, path, url, **request)
            if status in expected:
                assert status is not None
                return status, body
            # A cancel may come before the view is there: 404.
            if status not in {None, 503} and not (status == 404 and path.endswith("/cancel")):
                self.surprises.append(f"{method} {path}: {status} {body}")
            await asyncio.sleep(pause * self._draw.uniform(0.5, 1.5))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            url += 1

    async def _request(
        self, method: str, path: str, url: int, **request: Any
    ) -> tuple[int | None, dict[str, Any] | None]:
        what = f"{method} {'/jobs/' if path == '/jobs/' else path.rpartition('/')[2][:8] if method == 'POST' else ''}"
        try:
            async with self._session.request(method, self._urls[url % len(self._urls)] + path, **request) as response:
                body = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.answers[f"{what.strip()} {type(error).__name__}"] += 1
            return None, None
        self.answers[f"{what.strip()} {response.status}"] += 1
        return response.status, body

    def _see(self, job: dict[str, Any]) -> None:
        outcome = outcome_of(job)
        if outcome.status in TERMINAL:
            self.sightings.append(Sighting(str(job["id"]), outcome, time.monotonic() - self._began))
            self.over[str(job["id"])] = outcome
            self.waiting.pop(str(job["id"]), None)


def outcome_of(job: dict[str, Any]) -> Outcome:
    """Of a job, or the state of an event: both say it in the same words."""
    completed_at = job.get("completed_at")
    return Outcome(
        status=job["status"],
        error_code=(job.get("error") or {}).get("code"),
        completed_at=datetime.fromisoformat(completed_at) if completed_at else None,
    )

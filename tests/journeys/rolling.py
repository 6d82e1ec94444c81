"""What a rolling restart needs around it: front ends that retry once, and one address for several processes."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=20)


@dataclass
class FrontEnds:
    """Requests, each sent to one of the gateways and, if that fails, once more: to the next one, when it says to come back."""

    gateways: Sequence[str]
    api_key: str
    job_ids: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """What one retry did not cure."""
    _stopping: bool = False

    async def run(self, *, clients: int, pause_seconds: float) -> None:
        """Until `stop`."""
        async with aiohttp.ClientSession(headers={"x-api-key": self.api_key}, timeout=_TIMEOUT) as http:
            await asyncio.gather(*(self._use(http, pause_seconds) for _ in range(clients)))

    def stop(self) -> None:
        self._stopping = True

    async def _use(self, http: aiohttp.ClientSession, pause_seconds: float) -> None:
        for number in itertools.count():
            if self._stopping:
                return
            params = {"duration_seconds": random.choice([0, 0.2, 1.5]), "steps": 2, "output_bytes": 2000}
            job = await self.ask(
                http,
                "POST",
                "/jobs",
                json={"model_id": "simulated-v1", "input_params": params},
                headers={"Idempotency-Key": str(uuid4())},
            )
            if job is not None:
                self.job_ids.append(job["id"])
                await self.ask(http, "GET", f"/jobs/{job['id']}")
            if number % 4 == 0:
                ticket = {"filename": "a.png", "content_type": "image/png"}
                await self.ask(http, "POST", "/jobs/upload-ticket", json=ticket)
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.5))

    async def ask(self, http: aiohttp.ClientSession, method: str, path: str, **request: Any) -> Any:
        """The answer's body; None where that is among the `failed`."""
        first = random.randrange(len(self.gateways))
        problem, wait_seconds, body = await _once(http, method, self.gateways[first] + path, request)
        if problem is None:
            return body
        await asyncio.sleep(wait_seconds)
        again, _, body = await _once(http, method, self.gateways[(first + 1) % len(self.gateways)] + path, request)
        if again is not None:
            self.failed.append(f"{method} {path}: {problem}, then {again}")
        return body


async def _once(
    http: aiohttp.ClientSession, method: str, url: str, request: dict[str, Any]
) -> tuple[str | None, float, Any]:
    """What went wrong, if anything; how long to wait before the next try; the body."""
    try:
        async with http.request(method, url, **request) as response:
            if response.status < 300:
                return None, 0, await response.json()
            return (
                f"HTTP {response.status} {await response.text()}",
                float(response.headers.get("Retry-After", 0)),
                None,
            )
    except (aiohttp.ClientError, TimeoutError) as error:
        return repr(error), 0, None


class Balancer:
    """One address for several processes: each connection goes to the next of them that accepts it."""

    def __init__(self) -> None:
        self.upstreams: Callable[[], Sequence[str]] = tuple
        self._turn = itertools.count()

    async def __aenter__(self) -> "Balancer":
        self._server = await asyncio.start_server(self._lead_on, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _lead_on(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        upstreams = self.upstreams()
        start = next(self._turn)
        for index in range(len(upstreams)):
            target = urlsplit(upstreams[(start + index) % len(upstreams)])
            try:
                far, far_writer = await asyncio.open_connection(target.hostname, target.port)
            except ConnectionError:
                continue
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(_pump(near, far_writer), _pump(far, near_writer))
            return
        near_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

"""A stack to be killed, who uses it, and what is seen of it from outside."""

import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
from clients import Clients
from collect import collect
from ledger import Ledger, draw_up
from orders import Order
from steps import eventually
from witness import Witness

from devstack.addresses import ServerAddresses
from devstack.stack import Stack
from service_kit.database import driver_url


@dataclass(frozen=True)
class System:
    servers: ServerAddresses
    stack: Stack
    clients: Clients
    witness: Witness
    database: asyncpg.Pool
    in_dead_hands: Mapping[str, asyncpg.Record]
    """By crash point, the attempt that the worker which was killed there had. Its job is over."""

    async def arm(self, name: str, point: str) -> None:
        """Starts the process anew, to die at the point."""
        await self.stack.stop(name)
        await self.stack.start_with(name, {"CRASH_POINT": point})

    async def dies(self, name: str) -> None:
        assert await self.stack.wait_ended(name) == -signal.SIGKILL

    async def revive(self, *names: str) -> None:
        await self.stack.start(*names)
        await self.stack.wait_ready(*names)

    async def order(self, point: str, **params: Any) -> str:
        return await self.clients.order(simulated(point, **params))

    async def post(self, gateway: str, path: str, **request: Any) -> int:
        """Once, to this gateway. Raises `aiohttp.ClientError` if no answer came."""
        headers = {"x-api-key": self.stack.api_key} | request.pop("headers", {})
        url = f"{self.stack.url(gateway)}/api/v1{path}"
        async with aiohttp.ClientSession() as http, http.post(url, headers=headers, **request) as response:
            return response.status

    async def ends(self, job_id: str, status: str = "SUCCEEDED", *, attempts: tuple[str, ...] = ("SUCCEEDED",)) -> None:
        """Waits until its owner sees the job over, then holds how it ended and what became of its attempts against this."""

        async def over() -> bool:
            await self.clients.look(job_id)
            return job_id in self.clients.over

        await eventually(over, within_seconds=60)
        assert self.clients.over[job_id].status == status
        assert tuple(row["status"] for row in await self.attempts(job_id)) == attempts

    async def attempts(self, job_id: str) -> list[asyncpg.Record]:
        by_job = "SELECT * FROM orchestrator.attempts WHERE job_id = $1 ORDER BY number"
        return list(await self.database.fetch(by_job, job_id))

    async def ledger(self) -> Ledger:
        """Once it is clean; the last one if it will not be."""
        url = driver_url(self.servers.postgres_admin_url)
        drawn_up: list[Ledger] = []

        async def clean() -> bool:
            drawn_up.append(draw_up(await collect(url, [self.clients], self.witness)))
            return drawn_up[-1].is_clean

        with suppress(AssertionError):
            await eventually(clean, within_seconds=20)
        return drawn_up[-1]


def simulated(key: str, **params: Any) -> Order:
    params = {"duration_seconds": 0, "steps": 1, "output_bytes": 4096} | params
    return Order(key, {"model_id": "simulated-v1", "input_params": params}, makes_model=True)

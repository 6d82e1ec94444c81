"""Many jobs as fast as the system takes them, and what that took."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
from connection import Connection
from cpu import cpu_seconds

from devstack.stack import Stack
from service_kit.database import driver_url


@dataclass
class Measured:
    jobs: int
    seconds: float
    post_ms: list[float]
    cpu: Counter[str] = field(default_factory=Counter)


def job_body(output_bytes: int) -> bytes:
    params = {"duration_seconds": 0, "steps": 1, "outcome": "succeed", "output_bytes": output_bytes}
    return json.dumps({"model_id": "simulated-v1", "input_params": params}).encode()


async def burst(stack: Stack, *, jobs: int, clients: int, output_bytes: int) -> Measured:
    """`clients` post as fast as they are answered; ends when the API shows the last job as SUCCEEDED."""
    body, latencies, left = job_body(output_bytes), [], iter(range(jobs))
    before = cpu_seconds(stack)
    database = await asyncpg.connect(driver_url(stack.servers.postgres_admin_url))
    finished = "SELECT count(*) FROM gateway.job_views WHERE status = 'SUCCEEDED'"
    goal = jobs + await database.fetchval(finished)

    async def client() -> None:
        connection = await Connection(stack.api_url, stack.api_key).open()
        for _ in left:
            sent = time.perf_counter()
            await connection.post_job(body)
            latencies.append((time.perf_counter() - sent) * 1000)
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    while await database.fetchval(finished) < goal:
        if time.perf_counter() - began > 300:
            raise RuntimeError(f"{goal - await database.fetchval(finished)} of {jobs} jobs did not succeed in 300 s")
        await asyncio.sleep(0.1)
    seconds = time.perf_counter() - began
    await database.close()
    return Measured(jobs, seconds, latencies, cpu_seconds(stack) - before)

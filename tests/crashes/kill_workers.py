"""Kills a worker at each of its crash points, all at the same time: each costs a lease."""

import asyncio
import os
import signal
from collections.abc import Mapping

import asyncpg
from clients import Clients
from orders import Order
from steps import eventually
from witness import Witness

from devstack.stack import Stack

WHEN_STOPPED = ("gpu_worker.after_run_before_report", "gpu_worker.after_hand_back_before_farewell")
"""Passed while the worker, asked to stop, hands back what it holds."""
ARMED_WORKERS = {
    f"gpu_worker-{number}": point
    for number, point in enumerate(
        (
            "gpu_worker.after_started_before_ack",
            "gpu_worker.after_ack_before_run",
            "gpu_worker.after_upload_before_register",
            "gpu_worker.after_register_before_report",
            "gpu_worker.after_report_before_noted",
            *WHEN_STOPPED,
        ),
        start=2,
    )
}
"""By name, where it dies. The first worker is not among them: it takes over what they leave behind."""
ARMED_SLOTS = "simulated-v1:1"


async def kill_workers(
    stack: Stack, clients: Clients, witness: Witness, database: asyncpg.Pool
) -> dict[str, asyncpg.Record]:
    """By crash point, the attempt that the worker which was killed there had in its hands. All jobs are over afterwards."""
    await eventually(lambda: database.fetchval("SELECT count(*) > $1 FROM orchestrator.workers", len(ARMED_WORKERS)))
    pids = {point: stack.pid(name) for name, point in ARMED_WORKERS.items()}
    await _hand_out_jobs(stack, clients, witness, database)

    async def in_hand(point: str) -> asyncpg.Record | None:
        by_process = "SELECT * FROM orchestrator.attempts WHERE worker_id LIKE $1"
        return await database.fetchrow(by_process, f"%-{pids[point]}-%")

    async def stop(point: str) -> None:
        pid = pids[point]
        assert pid is not None
        await eventually(lambda: in_hand(point))
        os.kill(pid, signal.SIGTERM)

    await asyncio.gather(*map(stop, WHEN_STOPPED))
    statuses = await asyncio.gather(*map(stack.wait_ended, ARMED_WORKERS))
    assert dict(zip(ARMED_WORKERS, statuses, strict=True)) == dict.fromkeys(ARMED_WORKERS, -signal.SIGKILL)

    async def all_over() -> bool:
        await asyncio.gather(*map(clients.look, tuple(clients.waiting)))
        return not clients.waiting

    await eventually(all_over, within_seconds=60)
    attempts: Mapping[str, asyncpg.Record | None] = {point: await in_hand(point) for point in ARMED_WORKERS.values()}
    return {point: attempt for point, attempt in attempts.items() if attempt is not None}


async def _hand_out_jobs(stack: Stack, clients: Clients, witness: Witness, database: asyncpg.Pool) -> None:
    """One to each armed worker. They are frozen meanwhile, so that none dies before all have got their own."""
    for name in ARMED_WORKERS:
        stack.pause(name)
    params = {"duration_seconds": 1.5, "steps": 1, "output_bytes": 4096}
    body = {"model_id": "simulated-v1", "input_params": params}
    # RabbitMQ serves consumers in turn, among them the worker that is not armed: a few jobs are for it.
    orders = [Order(f"worker-{number}", body, makes_model=True) for number in range(len(ARMED_WORKERS) + 2)]
    job_ids = set(await asyncio.gather(*map(clients.order, orders)))

    async def handed_out() -> bool:
        # A task is said before the event that tells of its job, and by the same channel.
        said = {heard.job_id for heard in witness.heard} >= job_ids
        waiting = "SELECT count(*) FROM orchestrator.attempts WHERE status = 'DISPATCHED'"
        return said and bool(await database.fetchval(waiting) == len(ARMED_WORKERS))

    await eventually(handed_out)
    for name in ARMED_WORKERS:
        stack.resume(name)

"""Waits until nothing is under way any more."""

import asyncio
import time
from collections.abc import Sequence

import asyncpg
from clients import Clients
from witness import Witness

_UNFINISHED = """
    SELECT (SELECT count(*) FROM orchestrator.jobs WHERE status IN ('QUEUED', 'RUNNING')) AS running,
           (SELECT count(*) FROM orchestrator.job_events WHERE published_at IS NULL) AS unpublished,
           (SELECT count(*) FROM orchestrator.jobs j LEFT JOIN gateway.job_views v ON v.id = j.job_id
            WHERE v.seq IS DISTINCT FROM j.seq) AS unseen
"""


async def drained(
    database_url: str, users: Sequence[Clients], witness: Witness, *, timeout_seconds: float
) -> dict[str, int]:
    """Returns what was still under way when the time was over; nothing when the system came to rest before."""
    left: dict[str, int] = {}

    async def at_rest() -> bool:
        connection = await asyncpg.connect(database_url)
        try:
            left.update(dict(await connection.fetchrow(_UNFINISHED)))
            rows = await connection.fetch("SELECT job_id::text, seq FROM orchestrator.job_events")
        finally:
            await connection.close()
        heard = {(heard.job_id, heard.seq) for heard in witness.heard}
        left["unheard"] = sum((row["job_id"], row["seq"]) not in heard for row in rows)
        left["not seen over"] = sum(len(clients.waiting) for clients in users)
        return not any(left.values())

    deadline = time.monotonic() + timeout_seconds
    while not await at_rest() and time.monotonic() < deadline:  # noqa: ASYNC110  # nobody tells us
        await asyncio.sleep(1)
    return {what: count for what, count in left.items() if count}

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
    database_url: str, users: Sequence[Clients], witness: Witness, *, patience_seconds: float
) -> dict[str, int]:
    """Returns what is still under way once nothing has come to its end for so long; nothing if the system came to rest.

    A backlog is no loss: as long as it shrinks it is waited for.
    """
    left = await _left(database_url, users, witness)
    least, since = sum(left.values()), time.monotonic()
    while left and time.monotonic() - since < patience_seconds:
        await asyncio.sleep(1)
        left = await _left(database_url, users, witness)
        if sum(left.values()) < least:
            least, since = sum(left.values()), time.monotonic()
    return left


async def _left(database_url: str, users: Sequence[Clients], witness: Witness) -> dict[str, int]:
    connection = await asyncpg.connect(database_url)
    try:
        left = dict(await connection.fetchrow(_UNFINISHED))
        left["not seen over"] = sum(len(clients.waiting) for clients in users)
        if not any(left.values()):  # else there is no need to read the whole log
            heard = {(heard.job_id, heard.seq) for heard in witness.heard}
            rows = await connection.fetch("SELECT job_id::text, seq FROM orchestrator.job_events")
            left["unheard"] = sum((row["job_id"], row["seq"]) not in heard for row in rows)
    finally:
        await connection.close()
    return {what: count for what, count in left.items() if count}

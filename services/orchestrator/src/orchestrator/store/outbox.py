"""The log as an outbox: what the broker has confirmed, and what nobody has."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from contracts.ids import JobId
from orchestrator.rows import TracedEvent, event_of
from orchestrator.store.transactions import limit_idle_transaction
from service_kit.database import Connection


class Confirmed(NamedTuple):
    """An event the broker has. A later generation of the broker, having lost its data, does not have it."""

    job_id: JobId
    seq: int
    generation: int


def columns_of(confirmed: Iterable[Confirmed]) -> tuple[list[UUID], list[int], list[int]]:
    rows = list(confirmed)
    return [row.job_id for row in rows], [row.seq for row in rows], [row.generation for row in rows]


async def mark_published(connection: Connection, confirmed: Iterable[Confirmed]) -> None:
    """What a former generation of the broker confirmed stays unpublished, and is said again."""
    await connection.execute(
        """UPDATE orchestrator.job_events e SET published_at = now()
           FROM unnest($1::uuid[], $2::int[], $3::int[]) p (job_id, seq, generation), orchestrator.broker b
           WHERE e.job_id = p.job_id AND e.seq = p.seq AND p.generation = b.generation""",
        *columns_of(confirmed),
    )


async def take_turn_as_sweeper(connection: Connection) -> bool:
    """Whether this transaction is the only one that looks for events left behind. No row is locked while they are published:
    a commit that wants to mark one would wait for the broker."""
    await limit_idle_transaction(connection)
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('orchestrator.sweeper'))"))


async def unpublished(connection: Connection, older_than_seconds: float, limit: int) -> list[TracedEvent]:
    """Events nobody has confirmed, oldest first."""
    rows = await connection.fetch(
        """SELECT type, payload, traceparent FROM orchestrator.job_events
           WHERE published_at IS NULL AND occurred_at <= now() - make_interval(secs => $1)
           ORDER BY occurred_at, job_id, seq LIMIT $2""",
        older_than_seconds,
        limit,
    )
    return [event_of(row) for row in rows]


async def log_of(connection: Connection, job_ids: Iterable[JobId]) -> list[TracedEvent]:
    """All events of these jobs, each job's in order."""
    rows = await connection.fetch(
        """SELECT type, payload, traceparent FROM orchestrator.job_events
           WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, seq""",
        list(job_ids),
    )
    return [event_of(row) for row in rows]

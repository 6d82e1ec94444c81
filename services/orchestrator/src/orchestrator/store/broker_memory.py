"""What is known of the broker's memory: how often it lost it, and what has to be told again since."""

from datetime import datetime, timedelta

from orchestrator.rows import TracedEvent, event_of
from orchestrator.store.transactions import limit_idle_transaction
from service_kit.database import Connection


async def generation(connection: Connection) -> int:
    """Which life of the broker this is, counted from 0."""
    return int(await connection.fetchval("SELECT generation FROM orchestrator.broker"))


async def note_all_heard(connection: Connection, at: datetime) -> None:
    """Every queue of events was empty at that time: whatever was published before it has been delivered.

    What is not published yet has not: the mark stays before the oldest of it.
    """
    await connection.execute(
        """UPDATE orchestrator.broker SET heard_until = greatest(heard_until, least($1,
               (SELECT min(occurred_at) FROM orchestrator.job_events WHERE published_at IS NULL)))
           WHERE retell_from IS NULL""",
        at,
    )


async def begin_generation(connection: Connection, margin: timedelta) -> datetime | None:
    """A broker without memory was met. What may have been on its way is to be told again from the answered time on; None if this
    is the first broker ever. `margin` is how long a delivery may be in a subscriber's hands while its queue is empty."""
    since: datetime | None = await connection.fetchval(
        """UPDATE orchestrator.broker SET
               generation = generation + (heard_until IS NOT NULL)::int,
               retell_from = heard_until - $1::interval,
               retell_until = CASE WHEN heard_until IS NOT NULL THEN clock_timestamp() END,
               heard_until = coalesce(heard_until, clock_timestamp())
           RETURNING retell_from""",
        margin,
    )
    return since


async def take_span_to_retell(connection: Connection, span: timedelta) -> list[TracedEvent] | None:
    """The published events of the next `span` of time, in order; None if there is nothing (more) to retell.

    Locks the progress for this transaction, whose commit says that they were told. A replica that finds it locked gets None.
    """
    await limit_idle_transaction(connection)
    turn = await connection.fetchrow(
        """SELECT retell_from, least(retell_from + $1::interval, retell_until) AS until, retell_until FROM orchestrator.broker
           WHERE retell_from IS NOT NULL FOR UPDATE SKIP LOCKED""",
        span,
    )
    if turn is None:
        return None
    rows = await connection.fetch(
        """SELECT type, payload, traceparent FROM orchestrator.job_events
           WHERE occurred_at > $1 AND occurred_at <= $2 AND published_at IS NOT NULL
           ORDER BY occurred_at, job_id, seq""",
        turn["retell_from"],
        turn["until"],
    )
    await connection.execute(
        """UPDATE orchestrator.broker SET
               retell_from = CASE WHEN $1 < retell_until THEN $1::timestamptz END,
               retell_until = CASE WHEN $1 < retell_until THEN retell_until END""",
        turn["until"],
    )
    return [event_of(row) for row in rows]

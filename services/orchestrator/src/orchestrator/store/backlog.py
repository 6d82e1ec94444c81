"""What waits, and what is on the bus: all that the dispatcher asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.ids import JobId, ModelId, UserId
from orchestrator.job import Job
from orchestrator.rows import JOB_COLUMNS, job_of
from orchestrator.scheduling import Candidate
from service_kit.database import Connection


@dataclass(frozen=True, slots=True)
class Usage:
    """A user's attempts of one model that are on the bus or running."""

    user_id: UserId
    dispatched: int
    active: int


async def usage(connection: Connection, model_id: ModelId) -> list[Usage]:
    rows = await connection.fetch(
        """SELECT user_id, count(*) FILTER (WHERE status = 'DISPATCHED') AS dispatched, count(*) AS active
           FROM orchestrator.attempts WHERE model_id = $1 AND status IN ('DISPATCHED', 'STARTED') GROUP BY user_id""",
        model_id,
    )
    return [Usage(UserId(row["user_id"]), row["dispatched"], row["active"]) for row in rows]


async def waiting(connection: Connection, model_id: ModelId, now: datetime, per_user: int) -> list[Candidate]:
    """The first `per_user` waiting jobs of every user who has one: enough to fill a window of that size in any order.

    Reads the index of the backlog user by user (a loose index scan), so its cost does not grow with the backlog.
    """
    rows = await connection.fetch(
        """
        WITH RECURSIVE users AS (
            (SELECT user_id FROM orchestrator.jobs
             WHERE status = 'QUEUED' AND attempt_id IS NULL AND model_id = $1 ORDER BY user_id LIMIT 1)
            UNION ALL
            SELECT (SELECT j.user_id FROM orchestrator.jobs j
                    WHERE j.status = 'QUEUED' AND j.attempt_id IS NULL AND j.model_id = $1 AND j.user_id > users.user_id
                    ORDER BY j.user_id LIMIT 1)
            FROM users WHERE users.user_id IS NOT NULL
        )
        SELECT first.job_id, first.user_id, first.priority, first.accepted_at
        FROM users CROSS JOIN LATERAL (
            SELECT j.job_id, j.user_id, j.priority, j.accepted_at FROM orchestrator.jobs j
            WHERE j.status = 'QUEUED' AND j.attempt_id IS NULL AND j.model_id = $1 AND j.user_id = users.user_id
              AND (j.not_before IS NULL OR j.not_before <= $2)
            ORDER BY j.priority DESC, j.accepted_at LIMIT $3
        ) first
        """,
        model_id,
        now,
        per_user,
    )
    return [Candidate(JobId(r["job_id"]), UserId(r["user_id"]), r["priority"], r["accepted_at"]) for r in rows]


async def long_dispatched(
    connection: Connection, model_id: ModelId, longer_than: timedelta
) -> tuple[list[Job], list[Job]]:
    """Jobs whose attempt has been on the bus, untaken, for longer: those that later ones overtook by as much, and the others."""
    rows = await connection.fetch(
        f"""SELECT {JOB_COLUMNS}, EXISTS (
                SELECT 1 FROM orchestrator.attempts later
                WHERE later.model_id = $1 AND later.status = 'STARTED' AND later.dispatched_at > a.dispatched_at + $2
            ) AS overtaken
            FROM orchestrator.attempts a JOIN orchestrator.jobs j ON j.attempt_id = a.attempt_id
            WHERE a.model_id = $1 AND a.status = 'DISPATCHED' AND a.dispatched_at <= now() - $2::interval""",  # noqa: S608  # as above
        model_id,
        longer_than,
    )
    overtaken = [job_of(row) for row in rows if row["overtaken"]]
    return overtaken, [job_of(row) for row in rows if not row["overtaken"]]

"""What has run out."""

from contracts.ids import AttemptId, JobId
from service_kit.database import Connection


async def due_timers(
    connection: Connection, limit: int, *, with_leases: bool = True
) -> list[tuple[str, JobId, AttemptId | None]]:
    """What has run out by the database's clock: ``lease``, ``execution`` (with the attempt) or ``queue``."""
    rows = await connection.fetch(
        """
        (SELECT CASE WHEN deadline_at <= now() THEN 'execution' ELSE 'lease' END AS kind, job_id, attempt_id
         FROM orchestrator.attempts
         WHERE status = 'STARTED' AND (deadline_at <= now() OR ($2 AND lease_expires_at <= now())) LIMIT $1)
        UNION ALL
        (SELECT 'queue', job_id, NULL FROM orchestrator.jobs
         WHERE status = 'QUEUED' AND queue_deadline_at <= now() ORDER BY queue_deadline_at LIMIT $1)
        """,
        limit,
        with_leases,
    )
    return [(row["kind"], JobId(row["job_id"]), row["attempt_id"]) for row in rows]

"""Jobs that have been over for long are forgotten, their log first. A batch at a time, so that no lock is held for long."""

from datetime import timedelta

from service_kit.database import Connection


async def remove_logs(connection: Connection, over_for: timedelta, limit: int) -> int:
    """Removes the log of up to `limit` jobs that have been over for longer; answers of how many.

    A log with an event that was never published is kept: nobody may have heard of it.
    """
    return await _count(
        connection,
        """
        WITH old AS (
            SELECT j.job_id FROM orchestrator.jobs j
            WHERE j.completed_at IS NOT NULL AND j.log_removed_at IS NULL AND j.completed_at < now() - $1::interval
              AND NOT EXISTS (SELECT 1 FROM orchestrator.job_events e WHERE e.job_id = j.job_id AND e.published_at IS NULL)
            ORDER BY j.completed_at LIMIT $2 FOR UPDATE OF j SKIP LOCKED
        ), removed AS (
            DELETE FROM orchestrator.job_events e USING old WHERE e.job_id = old.job_id
        ), noted AS (
            UPDATE orchestrator.jobs j SET log_removed_at = now() FROM old WHERE j.job_id = old.job_id RETURNING 1
        )
        SELECT count(*) FROM noted
        """,
        over_for,
        limit,
    )


async def remove_jobs(connection: Connection, over_for: timedelta, limit: int) -> int:
    """Removes up to `limit` jobs that have been over for longer and whose log is gone, attempts included; answers how many."""
    return await _count(
        connection,
        """
        WITH old AS (
            SELECT job_id FROM orchestrator.jobs
            WHERE completed_at IS NOT NULL AND log_removed_at IS NOT NULL AND completed_at < now() - $1::interval
            ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ), removed AS (
            DELETE FROM orchestrator.jobs j USING old WHERE j.job_id = old.job_id RETURNING 1
        )
        SELECT count(*) FROM removed
        """,
        over_for,
        limit,
    )


async def _count(connection: Connection, statement: str, over_for: timedelta, limit: int) -> int:
    return int(await connection.fetchval(statement, over_for, limit))

"""What retention removes, a batch at a time. Replicas may do so at the same time: each takes rows that no other has taken.

Each statement finds its rows by an index made for it, and names what it removes by id: no plan reads a whole table.
"""

from datetime import timedelta

from gateway.store.database import Database
from service_kit.database import Connection

_OVER_WITH_LOG = """
SELECT id FROM gateway.job_views
WHERE completed_at < now() - $1::interval AND log_removed_at IS NULL
ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_OVER_WITHOUT_LOG = """
SELECT id FROM gateway.job_views
WHERE completed_at < now() - $1::interval AND log_removed_at IS NOT NULL
ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
# Made by an event whose job.queued never came. Its log says how old it is: it has no date of its own.
_NEVER_KNOWN = """
SELECT id FROM gateway.job_views AS view
WHERE created_at IS NULL AND now() - $1::interval > coalesce(
    (SELECT max(at) FROM gateway.job_view_events WHERE job_id = view.id), '-infinity')
ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_UNCHECKED_KEYS = """
SELECT job_id FROM gateway.idempotency_keys
WHERE created_at < now() - $1::interval AND spec IS NOT NULL
ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""

_DELETE_LOGS = "DELETE FROM gateway.job_view_events WHERE job_id = ANY($1::uuid[])"
_DELETE_KEYS = "DELETE FROM gateway.idempotency_keys WHERE job_id = ANY($1::uuid[])"
_DELETE_VIEWS = "DELETE FROM gateway.job_views WHERE id = ANY($1::uuid[])"
_NOTE_LOG_REMOVED = "UPDATE gateway.job_views SET log_removed_at = now() WHERE id = ANY($1::uuid[])"
# A scalar subquery: NOT EXISTS may be joined by hashing all of job_views.
_DELETE_UNUSED_KEYS = """
DELETE FROM gateway.idempotency_keys AS key
WHERE job_id = ANY($1::uuid[]) AND (SELECT id FROM gateway.job_views WHERE id = key.job_id) IS NULL
"""
_NOTE_KEYS_CHECKED = "UPDATE gateway.idempotency_keys SET spec = NULL WHERE job_id = ANY($1::uuid[])"


class Retention:
    """Every method answers how many rows it looked at: fewer than `limit` means that there are no more for now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remove_logs(self, over_for: timedelta, limit: int) -> int:
        """The logs of jobs that have been over for longer; the jobs stay."""
        return await self._take(_OVER_WITH_LOG, over_for, limit, _DELETE_LOGS, _NOTE_LOG_REMOVED)

    async def remove_jobs(self, over_for: timedelta, limit: int) -> int:
        """Jobs whose logs were removed, with their idempotency keys and whatever of their logs came late."""
        return await self._take(_OVER_WITHOUT_LOG, over_for, limit, _DELETE_LOGS, _DELETE_KEYS, _DELETE_VIEWS)

    async def remove_never_known(self, silent_for: timedelta, limit: int) -> int:
        """Views of which nobody ever said what the job is: they were never shown."""
        return await self._take(_NEVER_KNOWN, silent_for, limit, _DELETE_LOGS, _DELETE_VIEWS)

    async def remove_unused_keys(self, older_than: timedelta, limit: int) -> int:
        """Keys whose job never came to be. Of the others, what a retry would have asked for is no longer needed."""
        return await self._take(_UNCHECKED_KEYS, older_than, limit, _DELETE_UNUSED_KEYS, _NOTE_KEYS_CHECKED)

    async def _take(self, select: str, age: timedelta, limit: int, *then: str) -> int:
        async with self._database.pool.acquire() as connection, connection.transaction():
            return await _take_from(connection, select, age, limit, then)


async def _take_from(connection: Connection, select: str, age: timedelta, limit: int, then: tuple[str, ...]) -> int:
    ids = [row[0] for row in await connection.fetch(select, age, limit)]
    if ids:
        for statement in then:
            await connection.execute(statement, ids)
    return len(ids)

"""The register in PostgreSQL, as the sweeps use it.

Each sweep claims a batch, which keeps other replicas off it for a while, and forgets it when the objects are gone. A claim is a
committed row and no open transaction: the store may hang meanwhile, and a killed sweep's claims end by themselves. All times are
the database's, so that replicas whose clocks differ agree on what is due.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from contracts.ids import AttemptId, JobId, ObjectName
from service_kit.database import Pool

_CLAIM = timedelta(minutes=10)
"""Longer than a batch takes with a store that only just answers. Sweeping a thing twice at once would do no harm."""
_MOST_COUNTED = 10_000
"""A backlog is counted at each sweep: beyond this, its exact length is not worth the reading."""

# Rows are named to the update as an array, never joined: the plan is to fetch each by its key, whatever is known of their number.
# A row that turns out to be in use, as one of before the sweeps may, leaves their sight.
_CLAIM_UPLOADS = """
UPDATE artifacts.uploads u
SET (removing, kept_until) = (
    SELECT NOT in_use, CASE WHEN NOT in_use THEN now() + $2::interval END
    FROM (SELECT EXISTS (
        SELECT FROM artifacts.artifacts a WHERE a.object_name = u.object_name AND a.attempt_id IS NULL
    ) AS in_use) AS seen
)
WHERE object_name = ANY (ARRAY(
    SELECT object_name FROM artifacts.uploads
    WHERE kept_until < now() ORDER BY kept_until LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING object_name, removing
"""

_FORGET_UPLOADS = "DELETE FROM artifacts.uploads WHERE object_name = ANY ($1) AND removing"

_CLAIM_UNSWEPT = """
UPDATE artifacts.outcomes SET claimed_until = now() + $2::interval
WHERE job_id = ANY (ARRAY(
    SELECT job_id FROM artifacts.outcomes
    WHERE outputs_swept_at IS NULL AND heard_at < now() - $3::interval AND coalesce(claimed_until < now(), true)
    ORDER BY heard_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING job_id, winners
"""

# An attempt id that is NULL, an input's, differs from all of no winners.
_FORGET_LOSERS = """
WITH swept AS (
    UPDATE artifacts.outcomes SET outputs_swept_at = now(), claimed_until = NULL WHERE job_id = ANY ($1)
    RETURNING job_id, winners
)
DELETE FROM artifacts.artifacts a USING swept
WHERE a.job_id = swept.job_id AND a.attempt_id IS NOT NULL AND a.attempt_id <> ALL (swept.winners)
"""

_CLAIM_OLD = """
UPDATE artifacts.outcomes SET claimed_until = now() + $2::interval
WHERE job_id = ANY (ARRAY(
    SELECT job_id FROM artifacts.outcomes
    WHERE heard_at < now() - $3::interval AND coalesce(claimed_until < now(), true)
    ORDER BY heard_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING job_id
"""

_LOCK_INPUTS = """
SELECT object_name FROM artifacts.uploads
WHERE object_name IN (SELECT object_name FROM artifacts.artifacts WHERE job_id = ANY ($1) AND attempt_id IS NULL)
ORDER BY object_name FOR NO KEY UPDATE
"""

_RELEASE_INPUTS = """
UPDATE artifacts.uploads u SET kept_until = now() + $2::interval
WHERE object_name = ANY ($1) AND NOT EXISTS (
    SELECT FROM artifacts.artifacts a WHERE a.object_name = u.object_name AND a.attempt_id IS NULL
)
"""

_COUNT_UPLOADS = "SELECT count(*) FROM (SELECT FROM artifacts.uploads WHERE kept_until < now() LIMIT $1) AS due"

_COUNT_UNSWEPT = """
SELECT count(*) FROM (
    SELECT FROM artifacts.outcomes WHERE outputs_swept_at IS NULL AND heard_at < now() - $2::interval LIMIT $1
) AS due
"""

_COUNT_OLD = (
    "SELECT count(*) FROM (SELECT FROM artifacts.outcomes WHERE heard_at < now() - $2::interval LIMIT $1) AS due"
)


@dataclass(frozen=True, slots=True)
class EndedJob:
    job_id: JobId
    winners: frozenset[AttemptId]
    """One, or none if it failed or was cancelled."""


class SweepStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim_uploads(self, limit: int) -> list[ObjectName]:
        """Uploads that nobody uses and whose time is over. From now on nobody can use them."""
        while True:
            rows = await self._pool.fetch(_CLAIM_UPLOADS, limit, _CLAIM)
            claimed = [row["object_name"] for row in rows if row["removing"]]
            if claimed or not rows:
                return claimed

    async def forget_uploads(self, names: Sequence[ObjectName]) -> None:
        await self._pool.execute(_FORGET_UPLOADS, names)

    async def claim_unswept_jobs(self, limit: int, *, over_for: timedelta) -> list[EndedJob]:
        """Jobs that ended that long ago and of whose attempts' files nothing was swept yet."""
        rows = await self._pool.fetch(_CLAIM_UNSWEPT, limit, _CLAIM, over_for)
        return [EndedJob(row["job_id"], frozenset(row["winners"])) for row in rows]

    async def forget_losers(self, jobs: Sequence[JobId]) -> None:
        """Takes all attempts but the winners off the register, and never looks at the jobs' outputs again."""
        await self._pool.execute(_FORGET_LOSERS, jobs)

    async def claim_old_jobs(self, limit: int, *, over_for: timedelta) -> list[JobId]:
        return [row["job_id"] for row in await self._pool.fetch(_CLAIM_OLD, limit, _CLAIM, over_for)]

    async def forget_jobs(self, jobs: Sequence[JobId], *, inputs_kept_for: timedelta) -> None:
        """Takes the jobs off the register; an upload that no other job uses is left to its own sweep, `inputs_kept_for` from now.

        Statement by statement, since the one that asks for other users of the uploads must see what was committed by whoever held
        their locks before.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            uploads = [row["object_name"] for row in await connection.fetch(_LOCK_INPUTS, jobs)]
            await connection.execute("DELETE FROM artifacts.artifacts WHERE job_id = ANY ($1)", jobs)
            await connection.execute(_RELEASE_INPUTS, uploads, inputs_kept_for)
            await connection.execute("DELETE FROM artifacts.outcomes WHERE job_id = ANY ($1)", jobs)

    async def count_due_uploads(self) -> int:
        return await self._count(_COUNT_UPLOADS)

    async def count_unswept_jobs(self, *, over_for: timedelta) -> int:
        return await self._count(_COUNT_UNSWEPT, over_for)

    async def count_old_jobs(self, *, over_for: timedelta) -> int:
        return await self._count(_COUNT_OLD, over_for)

    async def _count(self, statement: str, *arguments: timedelta) -> int:
        """At most 10,000."""
        return int(await self._pool.fetchval(statement, _MOST_COUNTED, *arguments))

"""The read model of jobs, read for their owners."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from contracts.ids import JobId, ModelId, UserId
from contracts.states import JobStatus, Stage
from gateway.cursor import Cursor
from gateway.job_view import JobView
from gateway.queue_order import WaitingJob
from gateway.store.database import Database

_COLUMNS = (
    "id, user_id, model_id, input_params, prompt, created_at, seq, status, stage, attempt,"
    " cancel_requested OR (cancel_asked_at IS NOT NULL AND status IN ('QUEUED', 'RUNNING')) AS cancel_requested,"
    " started_at, completed_at, error, winning_attempt_id, progress_percent, (policy->>'max_attempts')::int AS max_attempts"
)
# A row made by a later event than job.queued has no static part yet and is not shown.
_SHOWN = "created_at IS NOT NULL"

_BY_ID = f"SELECT {_COLUMNS} FROM gateway.job_views WHERE id = ANY($1::uuid[]) AND {_SHOWN}"  # noqa: S608  # constants only

_OF_USER = f"""
SELECT {_COLUMNS} FROM gateway.job_views
WHERE user_id = $1 AND {_SHOWN}
  AND (created_at, id) < ($2::timestamptz, $3::uuid)
ORDER BY created_at DESC, id DESC LIMIT $4
"""  # noqa: S608  # constants only

# The newest of each model and status asked for, merged: as fast for the one FAILED job among 500,000 as for any page. Where all
# models are asked for, the user's are found by skipping from one to the next in the same index.
_OF_USER_FILTERED = f"""
WITH RECURSIVE model (id) AS (
    SELECT coalesce($6::text, (SELECT min(model_id) FROM gateway.job_views WHERE user_id = $1))
    UNION ALL
    SELECT (SELECT min(model_id) FROM gateway.job_views WHERE user_id = $1 AND model_id > model.id)
    FROM model WHERE $6 IS NULL AND model.id IS NOT NULL
)
SELECT page.* FROM model CROSS JOIN unnest($5::text[]) AS wanted (status) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM gateway.job_views
    WHERE user_id = $1 AND model_id = model.id AND status = wanted.status AND {_SHOWN}
      AND (created_at, id) < ($2::timestamptz, $3::uuid)
    ORDER BY created_at DESC, id DESC LIMIT $4
) AS page
ORDER BY created_at DESC, id DESC LIMIT $4
"""  # noqa: S608  # constants only

_WAITING = """
SELECT id, user_id, priority FROM (
    SELECT id, user_id, priority, created_at FROM gateway.job_views
    WHERE status = 'QUEUED' AND model_id = $1 AND created_at IS NOT NULL
    ORDER BY priority DESC, created_at LIMIT $2
) AS first ORDER BY created_at, id
"""

_EVENTS = """
SELECT seq, type, at, payload FROM gateway.job_view_events WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""

_BEFORE_THE_NEWEST = Cursor(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


class JobViewReader:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, job_ids: Sequence[JobId]) -> dict[JobId, JobView]:
        """The views of those jobs that are known."""
        rows = await self._database.pool.fetch(_BY_ID, list(set(job_ids)))
        return {view.id: view for view in map(_view, rows)}

    async def of_user(
        self, user_id: UserId, *, after: Cursor | None, status: JobStatus | None, model_id: str | None, limit: int
    ) -> list[JobView]:
        """The user's jobs, newest first, after the cursor."""
        start = after or _BEFORE_THE_NEWEST
        page = (user_id, start.created_at, start.job_id, limit)
        if status is None and model_id is None:
            rows = await self._database.pool.fetch(_OF_USER, *page)
        else:
            statuses = [status] if status is not None else list(JobStatus)
            rows = await self._database.pool.fetch(_OF_USER_FILTERED, *page, statuses, model_id)
        return [_view(row) for row in rows]

    async def waiting(self, model_id: ModelId, *, limit: int) -> list[WaitingJob]:
        """The first `limit` queued jobs of the model by priority and age, oldest first."""
        rows = await self._database.pool.fetch(_WAITING, model_id, limit)
        return [WaitingJob(*row) for row in rows]

    async def events(self, job_id: JobId, *, after_seq: int, limit: int) -> list[dict[str, Any]]:
        rows = await self._database.pool.fetch(_EVENTS, job_id, after_seq, limit)
        return [dict(row) for row in rows]


def _view(row: "asyncpg.Record") -> JobView:
    id_: UUID
    user_id: UUID
    created_at: datetime
    id_, user_id, model_id, input_params, prompt, created_at, seq, status, stage, *rest = row
    return JobView(
        JobId(id_),
        UserId(user_id),
        model_id,
        input_params,
        prompt,
        created_at,
        seq,
        JobStatus(status),
        Stage(stage) if stage else None,
        *rest,
    )

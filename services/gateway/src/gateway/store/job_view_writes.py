"""The read model of jobs, written: by requests, by the projection, and when a request has to be said again.

Every statement takes a whole batch as one jsonb array: one round trip, one plan, whatever the size.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from contracts.ids import JobId
from contracts.jobs import JobEvent, JobPolicy, JobSpec
from gateway.job_view import ViewChange, percent_at, public_payload
from gateway.progress import Progress
from gateway.store.database import Database

_INSERT_REQUESTED = """
INSERT INTO gateway.job_views
    (id, user_id, model_id, input_params, prompt, input_object, priority, policy, created_at, status, republish_at)
SELECT job_id, user_id, model_id, input_params, prompt, input_object, priority, policy, requested_at, 'QUEUED',
       now() + make_interval(secs => $2)
FROM jsonb_to_recordset($1::jsonb) AS job(job_id uuid, user_id uuid, model_id text, input_params jsonb, prompt text,
    input_object text, priority int, policy jsonb, requested_at timestamptz)
ORDER BY job_id
-- A later event may have been faster than job.queued and than us: its row lacks what was asked for.
ON CONFLICT (id) DO UPDATE SET
    input_params = excluded.input_params, prompt = excluded.prompt, input_object = excluded.input_object,
    priority = excluded.priority, policy = excluded.policy, created_at = excluded.created_at
WHERE job_views.created_at IS NULL
RETURNING id
"""

_STATIC = ("input_params", "prompt", "input_object", "priority", "policy", "created_at")
_DYNAMIC = (
    "seq",
    "status",
    "stage",
    "attempt",
    "cancel_requested",
    "started_at",
    "completed_at",
    "error",
    "winning_attempt_id",
    "progress_percent",
)
_ALL = ", ".join(("id", "user_id", "model_id", *_STATIC, *_DYNAMIC))
_SET_STATIC = ", ".join(f"{column} = coalesce(view.{column}, excluded.{column})" for column in _STATIC)
# Heard, and so nothing to say again: unless the owner wants to cancel the job and it does not show yet.
_SET_REPUBLISH_AT = """republish_at = CASE WHEN excluded.seq <= view.seq
    OR (view.cancel_asked_at IS NOT NULL AND NOT excluded.cancel_requested AND excluded.status IN ('QUEUED', 'RUNNING'))
    THEN view.republish_at END"""
_SET_DYNAMIC = ", ".join(
    f"{column} = CASE WHEN excluded.seq > view.seq THEN excluded.{column} ELSE view.{column} END" for column in _DYNAMIC
)

# The log and the view are written by one statement, and so in one transaction without a round trip for its ends.
_APPLY = f"""
WITH log AS (
    INSERT INTO gateway.job_view_events (job_id, seq, type, at, payload)
    SELECT job_id, seq, type, at, payload
    FROM jsonb_to_recordset($2::jsonb) AS event(job_id uuid, seq int, type text, at timestamptz, payload jsonb)
    ORDER BY job_id, seq
    ON CONFLICT DO NOTHING
)
INSERT INTO gateway.job_views AS view ({_ALL})
SELECT {_ALL} FROM jsonb_to_recordset($1::jsonb) AS change(
    id uuid, user_id uuid, model_id text,
    input_params jsonb, prompt text, input_object text, priority int, policy jsonb, created_at timestamptz,
    seq int, status text, stage text, attempt int, cancel_requested boolean, started_at timestamptz,
    completed_at timestamptz, error jsonb, winning_attempt_id uuid, progress_percent smallint)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET {_SET_STATIC}, {_SET_DYNAMIC}, {_SET_REPUBLISH_AT}
WHERE excluded.seq > view.seq OR view.created_at IS NULL
"""  # noqa: S608  # constants only

_RECORD_CANCEL = """
UPDATE gateway.job_views
SET cancel_asked_at = coalesce(cancel_asked_at, $2), republished = 0, republish_at = now() + make_interval(secs => $3)
WHERE id = $1 AND status IN ('QUEUED', 'RUNNING') AND NOT cancel_requested
"""

# Each time the wait doubles, up to an hour. SKIP LOCKED: replicas share the work.
_TAKE_UNACKNOWLEDGED = """
UPDATE gateway.job_views
SET republished = least(republished + 1, 1000),
    republish_at = now() + make_interval(secs => least($1 * 2 ^ least(republished + 1, 20), 3600))
WHERE id IN (
    SELECT id FROM gateway.job_views
    WHERE republish_at <= now() AND (seq = 0 OR cancel_asked_at IS NOT NULL)
    ORDER BY republish_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING id, user_id, model_id, input_params, prompt, input_object, priority, policy, created_at, cancel_asked_at
"""


@dataclass(frozen=True, slots=True)
class Unheard:
    """A job whose request, or whose cancellation, shows no effect."""

    job: JobSpec
    cancel_asked_at: datetime | None
    """None: nobody wants to cancel it."""


class JobViewWriter:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert_requested(self, jobs: Sequence[JobSpec], *, republish_after_seconds: float) -> set[JobId]:
        """Shows jobs that were just asked for; answers those whose row was not there before."""
        records = [job.model_dump(mode="json") for job in {job.job_id: job for job in reversed(jobs)}.values()]
        rows = await self._database.pool.fetch(_INSERT_REQUESTED, records, republish_after_seconds)
        return {row["id"] for row in rows}

    async def apply(
        self, events: Sequence[JobEvent], changes: Sequence[ViewChange], heard: Mapping[JobId, Progress]
    ) -> None:
        """Brings views and logs up to date, atomically. Idempotent, in any order: what is not newer changes nothing."""
        log = [
            {
                "job_id": event.job_id,
                "seq": event.seq,
                "type": event.routing_key,
                "at": event.occurred_at,
                "payload": public_payload(event),
            }
            for event in events
        ]
        await self._database.pool.execute(
            _APPLY, [_record(change, heard.get(change.newest.job_id)) for change in changes], log
        )

    async def record_cancel(self, job_id: JobId, asked_at: datetime, *, republish_after_seconds: float) -> None:
        """Remembers that its owner wants the job cancelled. Changes nothing if that shows already, or the job is over."""
        await self._database.pool.execute(_RECORD_CANCEL, job_id, asked_at, republish_after_seconds)

    @asynccontextmanager
    async def unacknowledged(self, *, after_seconds: float, limit: int) -> AsyncIterator[list[Unheard]]:
        """Jobs to speak of again: they count as spoken of if the block succeeds, and come again only after a longer while."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            yield [_unheard(row) for row in await connection.fetch(_TAKE_UNACKNOWLEDGED, after_seconds, limit)]


def _unheard(row: "asyncpg.Record") -> Unheard:
    job = JobSpec(
        job_id=row["id"],
        user_id=row["user_id"],
        model_id=row["model_id"],
        input_params=row["input_params"],
        prompt=row["prompt"],
        input_object=row["input_object"],
        priority=row["priority"],
        policy=JobPolicy.model_validate(row["policy"]),
        requested_at=row["created_at"],
    )
    return Unheard(job, row["cancel_asked_at"])


def _record(change: ViewChange, heard: Progress | None) -> dict[str, Any]:
    event, state, job = change.newest, change.newest.state, change.job
    static = {} if job is None else job.model_dump(mode="json", include=set(_STATIC)) | {"created_at": job.requested_at}
    return static | {
        "id": event.job_id,
        "user_id": event.user_id,
        "model_id": event.model_id,
        "seq": event.seq,
        "winning_attempt_id": change.winning_attempt_id,
        "progress_percent": percent_at(event, heard),
        **state.model_dump(mode="json"),
    }

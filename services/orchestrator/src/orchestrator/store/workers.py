"""Workers, and the leases they renew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.ids import AttemptId, JobId, ModelId, WorkerId
from contracts.states import AttemptStatus
from service_kit.database import Connection


@dataclass(frozen=True, slots=True)
class NamedAttempt:
    """What the orchestrator knows about an attempt that a worker says it holds."""

    named_by: WorkerId
    attempt_id: AttemptId
    job_id: JobId
    status: AttemptStatus
    worker_id: WorkerId | None
    cancel_requested: bool


async def renew_leases(
    connection: Connection, held: Sequence[tuple[WorkerId, AttemptId]], lease_ttl_seconds: float
) -> list[NamedAttempt]:
    """Renews the lease of every attempt that is STARTED on the worker that names it; answers what is known of all of them."""
    rows = await connection.fetch(
        """
        WITH held AS (
            SELECT * FROM unnest($1::text[], $2::uuid[]) h (worker_id, attempt_id)
        ), free AS (
            -- A commit may hold some of these rows. It is not waited for, so that the two cannot wait for each other: the
            -- next heartbeat renews what this one skipped.
            SELECT a.attempt_id FROM orchestrator.attempts a JOIN held h USING (attempt_id, worker_id)
            WHERE a.status = 'STARTED' FOR NO KEY UPDATE OF a SKIP LOCKED
        ), renewed AS (
            UPDATE orchestrator.attempts a SET lease_expires_at = now() + make_interval(secs => $3)
            FROM free WHERE a.attempt_id = free.attempt_id
        )
        SELECT h.worker_id AS named_by, a.attempt_id, a.job_id, a.status, a.worker_id, j.cancel_requested
        FROM held h JOIN orchestrator.attempts a ON a.attempt_id = h.attempt_id JOIN orchestrator.jobs j ON j.job_id = a.job_id
        """,
        [worker_id for worker_id, _ in held],
        [attempt_id for _, attempt_id in held],
        lease_ttl_seconds,
    )
    return [
        NamedAttempt(
            WorkerId(r["named_by"]),
            AttemptId(r["attempt_id"]),
            JobId(r["job_id"]),
            AttemptStatus(r["status"]),
            r["worker_id"],
            r["cancel_requested"],
        )
        for r in rows
    ]


async def see_workers(connection: Connection, seen: Sequence[dict[str, Any]]) -> bool:
    """Notes what the workers say of themselves; answers whether any of them is new."""
    rows = await connection.fetch(
        """INSERT INTO orchestrator.workers (worker_id, models, stopping, interval_seconds, last_seen_at)
           SELECT worker_id, models, stopping, interval_seconds, now()
           FROM jsonb_populate_recordset(null::orchestrator.workers, $1) ORDER BY worker_id
           ON CONFLICT (worker_id) DO UPDATE SET models = excluded.models, stopping = excluded.stopping,
               interval_seconds = excluded.interval_seconds, last_seen_at = excluded.last_seen_at
           RETURNING xmax = 0 AS inserted""",
        seen,
    )
    return any(row["inserted"] for row in rows)


WORKER_LIVES = "NOT w.stopping AND w.last_seen_at > now() - make_interval(secs => w.interval_seconds * $1)"
"""Of a row `w` of `workers`; $1: how many heartbeats it may miss."""


async def live_slots(connection: Connection, missed_heartbeats: float) -> dict[ModelId, int]:
    """Slots per model of the workers that were heard of lately and are not stopping."""
    rows = await connection.fetch(
        f"""SELECT model.key AS model_id, sum(model.value::int) AS slots
            FROM orchestrator.workers w CROSS JOIN LATERAL jsonb_each_text(w.models) model
            WHERE {WORKER_LIVES} GROUP BY model.key""",  # noqa: S608  # only our own condition is put in
        missed_heartbeats,
    )
    return {ModelId(row["model_id"]): row["slots"] for row in rows}


async def forget_workers(connection: Connection, unseen_for_seconds: float) -> None:
    await connection.execute(
        "DELETE FROM orchestrator.workers WHERE last_seen_at < now() - make_interval(secs => $1)", unseen_for_seconds
    )

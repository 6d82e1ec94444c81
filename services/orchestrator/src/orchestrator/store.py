"""Every statement on the orchestrator's tables. Set-based: a batch costs the same few round trips however large it is.

Rows travel as JSON arrays and are typed by the tables themselves (`jsonb_populate_recordset`), so a column is named where it is
defined and where it is set, and nowhere in between.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.ids import AttemptId, JobId, ModelId, UserId, WorkerId
from contracts.states import AttemptStatus
from orchestrator.fold import Fold
from orchestrator.job import Job
from orchestrator.rows import JOB_COLUMNS, TracedEvent, attempt_row, event_of, event_row, job_of, job_row
from orchestrator.scheduling import Candidate
from service_kit.database import Connection


@asynccontextmanager
async def commit_turn(connection: Connection) -> AsyncIterator[None]:
    """A transaction that first waits for its turn: one batch commits at a time, across replicas.

    Windows are counted and jobs loaded without anybody moving in between, and no two transactions can deadlock. Batches grow
    instead of running side by side. Begin and lock are one round trip, which is why asyncpg's own transaction is not used.
    """
    await connection.execute("BEGIN; SELECT pg_advisory_xact_lock(hashtext('orchestrator.commit'))")
    try:
        yield
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def load_batch(connection: Connection, job_ids: Collection[JobId]) -> tuple[datetime, dict[JobId, Job]]:
    """The database's clock, the only one that decides, and those of the jobs that exist."""
    rows = await connection.fetch(
        f"""SELECT clock.now, {JOB_COLUMNS}
            FROM (SELECT clock_timestamp() AS now) clock
            LEFT JOIN (orchestrator.jobs j LEFT JOIN orchestrator.attempts a ON a.attempt_id = j.attempt_id)
            ON j.job_id = ANY($1::uuid[])""",  # noqa: S608  # only our own column list is put in
        list(job_ids),
    )
    jobs = (job_of(row) for row in rows if row["spec"] is not None)
    return rows[0]["now"], {job.job_id: job for job in jobs}


async def load_jobs(connection: Connection, job_ids: Iterable[JobId]) -> dict[JobId, Job]:
    rows = await connection.fetch(
        f"""SELECT {JOB_COLUMNS}
            FROM orchestrator.jobs j LEFT JOIN orchestrator.attempts a ON a.attempt_id = j.attempt_id
            WHERE j.job_id = ANY($1::uuid[])""",  # noqa: S608  # as above
        list(job_ids),
    )
    return {job.job_id: job for job in map(job_of, rows)}


async def write(connection: Connection, fold: Fold, published: Iterable[tuple[JobId, int]] = ()) -> None:
    """Stores a batch, and that these events were confirmed by the broker since the last one.

    Raises `asyncpg.UniqueViolationError` where a job was created twice; the commit lock excludes that.
    """
    await connection.execute(
        """
        WITH created AS (
            INSERT INTO orchestrator.jobs SELECT * FROM jsonb_populate_recordset(null::orchestrator.jobs, $1)
        ), changed AS (
            UPDATE orchestrator.jobs j SET
                status = r.status, seq = r.seq, attempt_id = r.attempt_id, attempts_made = r.attempts_made,
                handbacks = r.handbacks, stage = r.stage, cancel_requested = r.cancel_requested, not_before = r.not_before,
                started_at = r.started_at, completed_at = r.completed_at, error = r.error,
                winning_attempt_id = r.winning_attempt_id, queue_deadline_at = r.queue_deadline_at
            FROM jsonb_populate_recordset(null::orchestrator.jobs, $2) r
            WHERE j.job_id = r.job_id
        ), attempted AS (
            INSERT INTO orchestrator.attempts SELECT * FROM jsonb_populate_recordset(null::orchestrator.attempts, $3)
            ON CONFLICT (attempt_id) DO UPDATE SET
                status = excluded.status, worker_id = excluded.worker_id, started_at = excluded.started_at,
                deadline_at = excluded.deadline_at, ended_at = excluded.ended_at,
                failure_code = excluded.failure_code, failure_message = excluded.failure_message,
                -- A heartbeat may have renewed the lease since it was read.
                lease_expires_at = greatest(attempts.lease_expires_at, excluded.lease_expires_at)
        ), told AS (
            INSERT INTO orchestrator.job_events SELECT * FROM jsonb_populate_recordset(null::orchestrator.job_events, $4)
        )
        UPDATE orchestrator.job_events e SET published_at = now()
        FROM unnest($5::uuid[], $6::int[]) p (job_id, seq) WHERE e.job_id = p.job_id AND e.seq = p.seq
        """,
        [job_row(job) | {"spec": job.spec, "traceparent": job.traceparent} for job in fold.created],
        [job_row(job) for job in fold.changed],
        [attempt_row(job, attempt) for job, attempt in fold.written_attempts()],
        [event_row(event, traceparent) for event, traceparent in fold.events],
        *_columns(published),
    )


# --- dispatch ---


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


# --- timers ---


async def due_timers(connection: Connection, limit: int) -> list[tuple[str, JobId, AttemptId | None]]:
    """What has run out by the database's clock: ``lease``, ``execution`` (with the attempt) or ``queue``."""
    rows = await connection.fetch(
        """
        (SELECT CASE WHEN lease_expires_at <= now() THEN 'lease' ELSE 'execution' END AS kind, job_id, attempt_id
         FROM orchestrator.attempts
         WHERE status = 'STARTED' AND (lease_expires_at <= now() OR deadline_at <= now()) LIMIT $1)
        UNION ALL
        (SELECT 'queue', job_id, NULL FROM orchestrator.jobs
         WHERE status = 'QUEUED' AND queue_deadline_at <= now() ORDER BY queue_deadline_at LIMIT $1)
        """,
        limit,
    )
    return [(row["kind"], JobId(row["job_id"]), row["attempt_id"]) for row in rows]


# --- the log as an outbox ---


async def take_turn_as_sweeper(connection: Connection) -> bool:
    """Whether this transaction is the only one that looks for events left behind. No row is locked while they are published:
    a commit that wants to mark one would wait for the broker."""
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


async def mark_published(connection: Connection, published: Iterable[tuple[JobId, int]]) -> None:
    await connection.execute(
        """UPDATE orchestrator.job_events e SET published_at = now()
           FROM unnest($1::uuid[], $2::int[]) p (job_id, seq) WHERE e.job_id = p.job_id AND e.seq = p.seq""",
        *_columns(published),
    )


# --- workers ---


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
           FROM jsonb_populate_recordset(null::orchestrator.workers, $1)
           ON CONFLICT (worker_id) DO UPDATE SET models = excluded.models, stopping = excluded.stopping,
               interval_seconds = excluded.interval_seconds, last_seen_at = excluded.last_seen_at
           RETURNING xmax = 0 AS inserted""",
        seen,
    )
    return any(row["inserted"] for row in rows)


async def live_slots(connection: Connection, missed_heartbeats: float) -> dict[ModelId, int]:
    """Slots per model of the workers that were heard of lately and are not stopping."""
    rows = await connection.fetch(
        """SELECT model.key AS model_id, sum(model.value::int) AS slots
           FROM orchestrator.workers w CROSS JOIN LATERAL jsonb_each_text(w.models) model
           WHERE NOT w.stopping AND w.last_seen_at > now() - make_interval(secs => w.interval_seconds * $1)
           GROUP BY model.key""",
        missed_heartbeats,
    )
    return {ModelId(row["model_id"]): row["slots"] for row in rows}


async def forget_workers(connection: Connection, unseen_for_seconds: float) -> None:
    await connection.execute(
        "DELETE FROM orchestrator.workers WHERE last_seen_at < now() - make_interval(secs => $1)", unseen_for_seconds
    )


def _columns(published: Iterable[tuple[JobId, int]]) -> tuple[list[UUID], list[int]]:
    rows = list(published)
    return [job_id for job_id, _ in rows], [seq for _, seq in rows]

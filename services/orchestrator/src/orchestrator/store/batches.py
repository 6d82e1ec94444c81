"""A batch: the jobs it is about, and what it made of them, in one transaction."""

from collections.abc import Collection, Iterable
from datetime import datetime

from contracts.ids import JobId
from orchestrator.fold import Fold
from orchestrator.job import Job
from orchestrator.rows import JOB_COLUMNS, attempt_row, event_row, job_of, job_row
from orchestrator.store.outbox import Confirmed, columns_of
from service_kit.database import Connection


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


async def write(connection: Connection, fold: Fold, confirmed: Iterable[Confirmed] = ()) -> None:
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
        FROM unnest($5::uuid[], $6::int[], $7::int[]) p (job_id, seq, generation), orchestrator.broker b
        WHERE e.job_id = p.job_id AND e.seq = p.seq AND p.generation = b.generation
        """,
        [job_row(job) | {"spec": job.spec, "traceparent": job.traceparent} for job in fold.created],
        [job_row(job) for job in fold.changed],
        [attempt_row(job, attempt) for job, attempt in fold.written_attempts()],
        [event_row(event, traceparent) for event, traceparent in fold.events],
        *columns_of(confirmed),
    )

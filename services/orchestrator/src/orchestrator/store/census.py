"""What there is at this moment: jobs that are not over, attempts under way, workers that live, events not yet published."""

from dataclasses import dataclass

import asyncpg

from contracts.ids import ModelId
from orchestrator.store.workers import WORKER_LIVES
from service_kit.database import Connection


@dataclass(frozen=True, slots=True)
class ModelCensus:
    """One model, of which there is a job that is not over, or a worker."""

    model_id: ModelId
    waiting: int
    """Jobs without an attempt."""
    dispatched: int
    """Attempts on the bus. Their jobs are QUEUED too."""
    running: int
    oldest_queued_seconds: float
    """Since the acceptance of the oldest job that waits or is dispatched; 0 if there is none."""
    unrenewed_seconds: float
    """Since the lease that will lapse first was renewed; 0 if there is none."""
    workers: int
    slots: int

    @property
    def queued(self) -> int:
        return self.waiting + self.dispatched

    @property
    def backlog(self) -> int:
        return self.queued + self.running


async def census(
    connection: Connection, *, missed_heartbeats: float, lease_ttl_seconds: float
) -> tuple[list[ModelCensus], float]:
    """Every model, and the age in seconds of the oldest unpublished event (0 if there is none), of one moment.

    Costs what waits and what is under way, whatever has been over for long: it reads two partial indexes. The waiting are counted
    in their index alone, a million in 0.4 s on two busy cores (and in seconds while no vacuum has seen them).
    """
    rows = await connection.fetch(
        f"""
        WITH waiting AS (
            SELECT model_id, count(*) AS waiting, min(accepted_at) AS oldest FROM orchestrator.jobs
            WHERE status = 'QUEUED' AND attempt_id IS NULL GROUP BY model_id
        ), under_way AS (
            SELECT a.model_id,
                count(*) FILTER (WHERE a.status = 'DISPATCHED') AS dispatched,
                count(*) FILTER (WHERE a.status = 'STARTED') AS running,
                -- Row by row, and not as a join, for which a planner may read all jobs.
                min((SELECT j.accepted_at FROM orchestrator.jobs j WHERE j.job_id = a.job_id))
                    FILTER (WHERE a.status = 'DISPATCHED') AS oldest,
                min(a.lease_expires_at) FILTER (WHERE a.status = 'STARTED') AS lapses_at
            FROM orchestrator.attempts a WHERE a.status IN ('DISPATCHED', 'STARTED') GROUP BY a.model_id
        ), serving AS (
            SELECT model.key AS model_id, count(*) AS workers, sum(model.value::int) AS slots
            FROM orchestrator.workers w CROSS JOIN LATERAL jsonb_each_text(w.models) model
            WHERE {WORKER_LIVES} GROUP BY model.key
        )
        SELECT model_id, coalesce(waiting, 0) AS waiting, coalesce(dispatched, 0) AS dispatched, coalesce(running, 0) AS running,
            coalesce(workers, 0) AS workers, coalesce(slots, 0) AS slots,
            coalesce(extract(epoch FROM now() - least(waiting.oldest, under_way.oldest))::float8, 0) AS oldest_queued_seconds,
            coalesce(extract(epoch FROM now() - lapses_at)::float8 + $2::float8, 0) AS unrenewed_seconds
        FROM waiting FULL JOIN under_way USING (model_id) FULL JOIN serving USING (model_id)
        """,  # noqa: S608  # only our own condition is put in
        missed_heartbeats,
        lease_ttl_seconds,
    )
    unpublished_seconds: float = await connection.fetchval(
        """SELECT coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at))::float8, 0)
           FROM orchestrator.job_events WHERE published_at IS NULL"""
    )
    return [_of_model(row) for row in rows], max(unpublished_seconds, 0.0)


def _of_model(row: asyncpg.Record) -> ModelCensus:
    return ModelCensus(
        ModelId(row["model_id"]),
        waiting=row["waiting"],
        dispatched=row["dispatched"],
        running=row["running"],
        # The clock of a primary that took over may be behind that of the one before.
        oldest_queued_seconds=max(row["oldest_queued_seconds"], 0.0),
        unrenewed_seconds=max(row["unrenewed_seconds"], 0.0),
        workers=row["workers"],
        slots=row["slots"],
    )

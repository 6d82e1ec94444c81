"""What must hold of every job, whatever failed: read from the tables and from what an independent subscriber heard."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import asyncpg
from services.orchestrator.tests.integration.faulted_population import Population

from contracts.cloudevents import CloudEvent
from contracts.ids import JobId
from contracts.jobs import JobEvent
from contracts.states import AttemptStatus, JobStatus
from orchestrator.rows import event_of
from service_kit.database import Pool

_OVER = [status for status in JobStatus if status.is_terminal]


class Watch:
    """Looks again and again while things happen: what is wrong only for a moment is not in the tables at the end."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ended: dict[JobId, asyncpg.Record] = {}
        self.violations: list[str] = []

    async def __call__(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.1)

    async def look(self) -> None:
        doubled = await self._pool.fetch(
            """SELECT job_id FROM orchestrator.attempts WHERE status IN ('DISPATCHED', 'STARTED')
               GROUP BY job_id HAVING count(*) > 1"""
        )
        self.violations += [f"{row['job_id']} has two current attempts" for row in doubled]
        ended = await self._pool.fetch(
            """SELECT job_id, status, seq, winning_attempt_id, completed_at, error FROM orchestrator.jobs
               WHERE status = ANY($1) OR job_id = ANY($2)""",
            _OVER,
            list(self._ended),
        )
        for row in ended:
            first = self._ended.setdefault(row["job_id"], row)
            if first != row:
                self.violations.append(f"{row['job_id']} had ended as {tuple(first)} and became {tuple(row)}")


async def unrest(pool: Pool, population: Population, heard: Sequence[CloudEvent[JobEvent]]) -> list[str]:
    """What is left to be done or said."""
    known = {event.id for event in heard}
    logged = await pool.fetch("SELECT job_id, seq, published_at FROM orchestrator.job_events")
    left = {
        "jobs have not ended": await pool.fetchval(
            "SELECT count(*) FROM orchestrator.jobs WHERE status <> ALL($1)", _OVER
        ),
        "jobs are not known": len(population.asked) - await pool.fetchval("SELECT count(*) FROM orchestrator.jobs"),
        "events are not marked as said": sum(row["published_at"] is None for row in logged),
        "events were not heard": sum(f"{row['job_id']}/{row['seq']}" not in known for row in logged),
    }
    return [f"{count} {what}" for what, count in left.items() if count]


async def violations(pool: Pool, population: Population, heard: Sequence[CloudEvent[JobEvent]]) -> list[str]:
    """A sentence for everything that is not as it must be."""
    jobs = {row["job_id"]: row for row in await pool.fetch("SELECT * FROM orchestrator.jobs")}
    log = _by_job(await pool.fetch("SELECT * FROM orchestrator.job_events ORDER BY job_id, seq"))
    attempts = _by_job(await pool.fetch("SELECT * FROM orchestrator.attempts ORDER BY job_id, dispatched_at"))
    found = [f"{spec.job_id} was asked for and is unknown" for spec in population.asked if spec.job_id not in jobs]
    for job_id, job in jobs.items():
        wrong = [
            *_of_the_row(job, log[job_id]),
            *_of_the_attempts(job, attempts[job_id], population),
            *_of_what_was_heard(job, log[job_id], heard),
        ]
        found += [f"{job_id} {sentence}" for sentence in wrong]
    return found


def _of_the_row(job: asyncpg.Record, log: list[asyncpg.Record]) -> Iterator[str]:
    if not JobStatus(job["status"]).is_terminal:
        yield f"is still {job['status']}"
    seqs = [row["seq"] for row in log]
    if not seqs or seqs != list(range(1, job["seq"] + 1)):
        yield f"stands at {job['seq']}, and its log reads {seqs}"
        return
    ends = [row["type"] for row in log if JobStatus(row["payload"]["state"]["status"]).is_terminal]
    if len(ends) != 1 or log[-1]["type"] != ends[0]:
        yield f"was ended by {ends}"
    last = event_of(log[-1])[0].state
    told = last.status, last.completed_at, last.started_at, last.cancel_requested
    stored = job["status"], job["completed_at"], job["started_at"], job["cancel_requested"]
    if told != stored:
        yield f"is {stored}, and its last event says {told}"
    unsaid = [row["seq"] for row in log if row["published_at"] is None]
    if unsaid:
        yield f"has events that were never marked as said: {unsaid}"


def _of_the_attempts(job: asyncpg.Record, attempts: list[asyncpg.Record], population: Population) -> Iterator[str]:
    won = [row for row in attempts if row["status"] == AttemptStatus.SUCCEEDED]
    expected = [job["winning_attempt_id"]] if job["status"] == JobStatus.SUCCEEDED else []
    if [row["attempt_id"] for row in won] != expected:
        yield f"{job['status']} by {expected}, with {len(won)} attempts that succeeded"
    for row in won:
        if row["worker_id"] not in population.successes[row["attempt_id"]]:
            yield f"succeeded on {row['worker_id']}, which never said so"
    current = [row["status"] for row in attempts if not AttemptStatus(row["status"]).is_over]
    if current or job["attempt_id"] is not None:
        yield f"has ended with attempts that have not: {current}"
    if job["attempts_made"] > len(attempts):
        yield f"counts {job['attempts_made']} attempts and has {len(attempts)}"


def _of_what_was_heard(
    job: asyncpg.Record, log: list[asyncpg.Record], heard: Sequence[CloudEvent[JobEvent]]
) -> Iterator[str]:
    told: dict[int, JobEvent] = {}
    held = 0
    applied: list[int] = []
    for event in heard:
        if event.data.job_id != job["job_id"]:
            continue
        fact = event.data
        if told.setdefault(fact.seq, fact) != fact:
            yield f"was told two different things as {event.id}"
        if fact.seq > held:  # a consumer's dedupe
            held = fact.seq
            applied.append(fact.seq)
    committed = {row["seq"]: event_of(row)[0] for row in log}
    if told != committed:
        unheard, invented = sorted(committed.keys() - told.keys()), sorted(told.keys() - committed.keys())
        yield f"was heard otherwise than committed: unheard {unheard}, never committed {invented}"
    if held != job["seq"]:
        yield f"stands at {job['seq']}; who applies what is newer stands at {held}"


def _by_job(rows: list[asyncpg.Record]) -> dict[JobId, list[Any]]:
    by_job: dict[JobId, list[Any]] = defaultdict(list)
    for row in rows:
        by_job[row["job_id"]].append(row)
    return by_job

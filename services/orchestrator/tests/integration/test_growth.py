"""What a running job costs does not depend on how many have run before it.

`GROWTH_JOBS=1000000` fills as many and prints what each statement takes (`make bench-growth`).
"""

import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from pydantic import SecretStr
from services.orchestrator.tests.builders import MODEL, OWNER, RULES, WORKER, a_spec, requested

from contracts.ids import AttemptId, JobId
from devstack.addresses import PostgresAddress
from devstack.isolation import create_database, database_name, drop_database
from devstack.services import Service, database_url
from orchestrator import store
from orchestrator.fold import Fold
from orchestrator.store import Confirmed
from service_kit.database import Connection, Pool, open_pool
from service_kit.ids import new_uuid
from service_kit.settings import DatabaseSettings

JOBS = int(os.environ.get("GROWTH_JOBS", "30000"))
"""All but a thousand of them are over."""
WAITING, RUNNING = 900, 100
LATE = timedelta(days=30)

_ID = "('00000000-0000-7000-{}000-' || lpad(to_hex(n), 12, '0'))::uuid"
_FILL = [
    f"""
    INSERT INTO orchestrator.jobs (job_id, user_id, model_id, priority, spec, status, seq, accepted_at, attempt_id,
        attempts_made, handbacks, cancel_requested, completed_at, winning_attempt_id, queue_deadline_at)
    SELECT job_id, user_id, '{MODEL}', 0, $1::jsonb || jsonb_build_object('job_id', job_id, 'user_id', user_id),
        CASE WHEN n > {JOBS - WAITING} THEN 'QUEUED' WHEN n > {JOBS - WAITING - RUNNING} THEN 'RUNNING' ELSE 'SUCCEEDED' END,
        4, at, CASE WHEN n > {JOBS - WAITING - RUNNING} AND n <= {JOBS - WAITING} THEN {_ID.format(9)} END, 1, 0, false,
        CASE WHEN n <= {JOBS - WAITING - RUNNING} THEN at END,
        CASE WHEN n <= {JOBS - WAITING - RUNNING} THEN {_ID.format(9)} END, at + interval '200 days'
    FROM generate_series(1, {JOBS}) n, LATERAL (SELECT {_ID.format(8)} AS job_id,
        ('00000000-0000-0000-0000-' || lpad(to_hex(n % 1000), 12, '0'))::uuid AS user_id,
        now() - interval '100 days' + n * interval '100 days' / {JOBS} AS at) drawn
    """,
    f"""
    INSERT INTO orchestrator.attempts (attempt_id, job_id, number, model_id, user_id, status, worker_id, dispatched_at,
        started_at, lease_expires_at, deadline_at, ended_at)
    SELECT {_ID.format(9)}, job_id, 1, model_id, user_id,
        CASE WHEN n > {JOBS - WAITING - RUNNING} THEN 'STARTED' ELSE 'SUCCEEDED' END, '{WORKER}', accepted_at, accepted_at,
        now() + interval '1 hour', now() + interval '1 hour', completed_at
    FROM (SELECT *, row_number() OVER (ORDER BY accepted_at) AS n FROM orchestrator.jobs) j WHERE n <= {JOBS - WAITING}
    """,
    """
    INSERT INTO orchestrator.job_events (job_id, seq, type, payload, occurred_at, published_at)
    SELECT job_id, n, 'job.started', '{"filler": "real ones have some 400 bytes"}', accepted_at, accepted_at
    FROM (SELECT job_id, accepted_at FROM orchestrator.jobs ORDER BY accepted_at) j, generate_series(1, 4) n
    """,
]


@pytest.fixture(scope="module")
async def grown(migrated: str, postgres_address: PostgresAddress) -> AsyncIterator[Pool]:
    url = await create_database(migrated, template=database_name(migrated))
    settings = DatabaseSettings(database_url=SecretStr(database_url(url, Service.ORCHESTRATOR)))
    pool = await open_pool(settings, service="test")
    template = a_spec(user_id=OWNER)
    async with pool.acquire() as connection:
        for statement in _FILL:
            values = [template] if "$1" in statement else []
            await connection.execute(statement, *values, timeout=900)
        await connection.execute("VACUUM ANALYZE", timeout=900)
    yield pool
    await pool.close()
    await drop_database(url)


def _job(number: int) -> JobId:
    return JobId(_uuid(8, number))


def _attempt(number: int) -> AttemptId:
    return AttemptId(_uuid(9, number))


def _uuid(variant: int, number: int) -> "asyncpg.pgproto.pgproto.UUID":
    return asyncpg.pgproto.pgproto.UUID(f"00000000-0000-7000-{variant}000-{number:012x}")


async def _accept(connection: Connection) -> None:
    """A batch of a hundred new jobs, as a commit writes it."""
    fold = Fold({}, datetime.now(UTC), RULES)
    for _ in range(100):
        fold.apply(requested(a_spec(JobId(new_uuid()))))
    async with store.commit_turn(connection):
        await store.write(connection, fold, [Confirmed(_job(n), 1, 0) for n in range(1, 100)])


STATEMENTS: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "accept 100 jobs": _accept,
    "load 100 jobs": lambda c: store.load_batch(c, [_job(n) for n in range(1, 101)]),
    "usage": lambda c: store.usage(c, MODEL),
    "waiting": lambda c: store.waiting(c, MODEL, datetime.now(UTC), 5),
    "long dispatched": lambda c: store.long_dispatched(c, MODEL, timedelta(seconds=10)),
    "due timers": lambda c: store.due_timers(c, 500),
    "census": lambda c: store.census(c, missed_heartbeats=3.0, lease_ttl_seconds=15.0),
    "unpublished": lambda c: store.unpublished(c, 5.0, 1000),
    "logs of 100 jobs": lambda c: c.fetch(
        "SELECT seq FROM orchestrator.job_events WHERE job_id = ANY($1::uuid[])", [_job(n) for n in range(1, 101)]
    ),
    "mark 100 events": lambda c: store.mark_published(c, [Confirmed(_job(n), 2, 0) for n in range(1, 101)]),
    "renew 100 leases": lambda c: store.renew_leases(
        c, [(WORKER, _attempt(n)) for n in range(JOBS - WAITING - 99, JOBS - WAITING + 1)], 15.0
    ),
    "remove 100 logs": lambda c: store.remove_logs(c, LATE, 100),
    "remove 100 jobs": lambda c: store.remove_jobs(c, LATE, 100),
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_statement_reads_a_whole_table(grown: Pool, name: str) -> None:
    async with grown.acquire() as connection:
        before = await _rows_read_in_sequence(connection)
        await STATEMENTS[name](connection)
        assert await _rows_read_in_sequence(connection) - before < JOBS / 10


async def test_a_span_of_time_is_found_without_reading_the_whole_log(grown: Pool) -> None:
    """By a BRIN index, which reads blocks that may hold it and no others."""
    async with grown.acquire() as connection:
        plan = await connection.fetchval(
            """EXPLAIN (FORMAT JSON) SELECT type FROM orchestrator.job_events
               WHERE occurred_at > now() - interval '50 days' AND occurred_at <= now() - interval '50 days' + interval '10 s'
                 AND published_at IS NOT NULL ORDER BY occurred_at, job_id, seq"""
        )
    assert "job_events_occurred" in plan


@pytest.mark.skipif("GROWTH_JOBS" not in os.environ, reason="a measurement: make bench-growth")
async def test_what_each_statement_takes(grown: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    async with grown.acquire() as connection:
        took_ms = {name: await _median_ms(connection, run) for name, run in STATEMENTS.items()}
    with capsys.disabled():
        print(f"\n{JOBS:,} jobs, {4 * JOBS:,} events")
        for name, milliseconds in took_ms.items():
            print(f"  {name:<20} {milliseconds:8.2f} ms")


async def _median_ms(connection: Connection, run: Callable[[Connection], Awaitable[object]]) -> float:
    took = []
    for _ in range(21):
        began = time.perf_counter()
        await run(connection)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


async def _rows_read_in_sequence(connection: Connection) -> int:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return int(
        await connection.fetchval(
            "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('jobs', 'attempts', 'job_events')"
        )
    )

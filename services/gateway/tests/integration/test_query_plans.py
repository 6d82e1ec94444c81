"""Every statement finds its rows by an index, however many there are: checked on a database large enough for it to matter."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic_core import from_json, to_json
from services.gateway.tests.integration.explained import Explained, nodes

from contracts.ids import JobId, ModelId, UserId
from contracts.jobs import JobQueued, JobSpec, JobState
from contracts.states import JobStatus
from devstack.addresses import PostgresAddress
from devstack.databases import provision_services, run_module
from devstack.isolation import create_database, drop_database
from devstack.services import Service, database_url
from gateway.job_view import fold
from gateway.store.idempotency_keys import IdempotencyKeys
from gateway.store.job_view_writes import JobViewWriter
from gateway.store.job_views import JobViewReader
from gateway.store.retention import Retention
from service_kit.database import driver_url

USER = UserId(UUID(int=1))
BIG_TABLES = {"job_views", "job_view_events", "idempotency_keys"}
ROWS = 20_000
FILL = [
    # One user has half of the jobs. All but the last thousand are over; twenty were never acknowledged.
    f"""
    INSERT INTO gateway.job_views
        (id, user_id, model_id, input_params, priority, policy, created_at, seq, status, completed_at, republish_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(CASE WHEN n % 2 = 0 THEN 1 ELSE n % 500 + 2 END), 32, '0')::uuid,
        (ARRAY['a', 'b', 'c'])[1 + n / 2 % 3], '{{"steps": 1}}', 0, '{{"max_attempts": 3}}', made, seq, status,
        CASE WHEN status = 'SUCCEEDED' THEN made END, CASE WHEN seq = 0 THEN now() END
    FROM generate_series(1, {ROWS}) AS n, LATERAL (SELECT
        CASE WHEN n > {ROWS} - 1000 THEN 'QUEUED' ELSE 'SUCCEEDED' END AS status,
        CASE WHEN n > {ROWS} - 20 THEN 0 ELSE 5 END AS seq,
        now() - interval '100 days' + n * interval '99 days' / {ROWS} AS made) AS drawn
    """,
    """
    INSERT INTO gateway.job_view_events (job_id, seq, type, at, payload)
    SELECT id, n, 'job.queued', created_at, '{}' FROM gateway.job_views, generate_series(1, 2) AS n
    """,
    """
    INSERT INTO gateway.idempotency_keys (job_id, fingerprint, created_at, spec)
    SELECT id, '', created_at, CASE WHEN created_at > now() - interval '10 days' THEN '{}'::jsonb END
    FROM gateway.job_views WHERE user_id = '00000000-0000-0000-0000-000000000001'
    """,
    "ANALYZE gateway.job_views, gateway.job_view_events, gateway.idempotency_keys",
]


@pytest.fixture(scope="module")
async def explained(postgres_address: PostgresAddress) -> AsyncIterator[Explained]:
    url = await create_database(postgres_address.admin_url)
    await provision_services(url)
    await run_module("gateway.migrate", Service.GATEWAY, url)
    connection = await asyncpg.connect(driver_url(database_url(url, Service.GATEWAY)))
    for json_type in ("jsonb", "json"):  # the latter for the plans
        await connection.set_type_codec(
            json_type, encoder=lambda value: to_json(value).decode(), decoder=from_json, schema="pg_catalog"
        )
    for statement in FILL:
        await connection.execute(statement)
    yield Explained(connection)
    await connection.close()
    await drop_database(url)


def _id(number: int) -> JobId:
    return JobId(UUID(int=number))


def _job(number: int) -> JobSpec:
    return JobSpec(
        job_id=_id(number), user_id=USER, model_id=ModelId("a"), input_params={}, requested_at=datetime.now(UTC)
    )


def _queued(number: int) -> JobQueued:
    job = _job(number)
    return JobQueued(
        job_id=job.job_id, seq=9, user_id=USER, model_id=job.model_id, occurred_at=job.requested_at,
        state=JobState(status=JobStatus.QUEUED), job=job,
    )  # fmt: skip


def _list(status: JobStatus | None, model_id: str | None) -> Callable[[Any], Awaitable[Any]]:
    return lambda database: JobViewReader(database).of_user(
        USER, after=None, status=status, model_id=model_id, limit=21
    )


async def _apply(database: Any) -> None:
    events = [_queued(number) for number in (*range(1, 100), *range(ROWS + 1, ROWS + 100))]
    await JobViewWriter(database).apply(events, fold(events), {})


async def _republish(database: Any) -> None:
    async with JobViewWriter(database).unacknowledged(after_seconds=10, limit=100) as unheard:
        assert len(unheard) == 20


_DAY = timedelta(days=1)

HOT: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "one job": lambda database: JobViewReader(database).find([_id(7)]),
    "many jobs": lambda database: JobViewReader(database).find([_id(number) for number in range(1, ROWS, 200)]),
    "a list": _list(None, None),
    "a list by status": _list(JobStatus.FAILED, None),
    "a list by model": _list(None, "none"),
    "a list by both": _list(JobStatus.SUCCEEDED, "b"),
    "the queue": lambda database: JobViewReader(database).waiting(ModelId("a"), limit=2000),
    "a log": lambda database: JobViewReader(database).events(_id(7), after_seq=0, limit=1000),
    "a key": lambda database: IdempotencyKeys(database).find(_id(8)),
    "claim a key": lambda database: IdempotencyKeys(database).claim(_job(uuid4().int), b""),
    "insert": lambda database: JobViewWriter(database).insert_requested([_job(uuid4().int)], republish_after_seconds=9),
    "apply": _apply,
    "cancel": lambda database: JobViewWriter(database).record_cancel(_id(9), datetime.now(UTC), republish_after_seconds=9),
    "republish": _republish,
    "remove logs": lambda database: Retention(database).remove_logs(60 * _DAY, 500),
    "remove jobs": lambda database: Retention(database).remove_jobs(90 * _DAY, 500),
    "remove the never known": lambda database: Retention(database).remove_never_known(90 * _DAY, 500),
    "remove unused keys": lambda database: Retention(database).remove_unused_keys(7 * _DAY, 500),
}  # fmt: skip


@pytest.mark.parametrize("act", HOT.values(), ids=HOT.keys())
async def test_no_statement_reads_a_whole_table(explained: Explained, act: Callable[[Any], Awaitable[Any]]) -> None:
    explained.plans.clear()
    await act(explained)
    assert explained.plans
    for statement, plan in explained.plans:
        scanned = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
        assert not scanned & BIG_TABLES, statement


async def test_check_can_fail(explained: Explained) -> None:
    explained.plans.clear()
    await explained.fetch("SELECT id FROM gateway.job_views WHERE prompt = 'x'")
    ((_, plan),) = explained.plans
    assert any(node["Node Type"] == "Seq Scan" for node in nodes(plan))

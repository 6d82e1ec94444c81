"""Each look at the register is a look into an index, however long the register gets."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from artifacts_harness import migrate

from artifacts import store, sweep_store
from devstack.addresses import PostgresAddress
from devstack.isolation import create_database, drop_database
from service_kit.database import driver_url

ROWS = 20_000
"""Enough for PostgreSQL to prefer an index; with a million the plans are the same."""
HOUR = timedelta(hours=1)
JOBS, NAMES = [uuid4()], ["uploads/1"]


@pytest.fixture(scope="module")
async def long_register(postgres_address: PostgresAddress) -> AsyncIterator[Any]:
    """Most uploads are in use, most outcomes were swept, some of each are due."""
    url = await create_database(postgres_address.admin_url)
    connection = await asyncpg.connect(driver_url(url))
    await connection.execute("CREATE SCHEMA artifacts")
    await migrate(url)
    await fill(connection, ROWS)
    yield connection
    await connection.close()
    await drop_database(url)


async def fill(connection: Any, rows: int) -> None:
    await connection.execute(f"""
        INSERT INTO artifacts.uploads (object_name, user_id, label, content_type, expires_at, kept_until)
        SELECT 'uploads/' || n, gen_random_uuid(), 'chair.png', 'image/png', now(),
            CASE WHEN n % 10 = 0 THEN now() + (n - {rows} / 20) * interval '1 second' END
        FROM generate_series(1, {rows}) n;
        INSERT INTO artifacts.outcomes (job_id, winners, ended_at, heard_at, outputs_swept_at)
        SELECT gen_random_uuid(), ARRAY[gen_random_uuid()], now(), now() - n * interval '8 seconds',
            CASE WHEN n > {rows} / 50 THEN now() END
        FROM generate_series(1, {rows}) n;
        INSERT INTO artifacts.artifacts
            (job_id, attempt_id, name, kind, content_type, size_bytes, sha256, object_name, user_id)
        SELECT job_id, winners[1], 'model.glb', 'model', 'model/gltf-binary', 1, repeat('0', 64), 'jobs/x', job_id
        FROM artifacts.outcomes;
        INSERT INTO artifacts.artifacts (job_id, name, kind, content_type, size_bytes, object_name, user_id)
        SELECT job_id, 'chair.png', 'input', 'image/png', 1, 'uploads/' || row_number() OVER (), job_id
        FROM artifacts.outcomes;
        ANALYZE artifacts.uploads, artifacts.outcomes, artifacts.artifacts;
    """)


STATEMENTS = {
    "find an upload": (store._FIND_UPLOAD, "uploads/1", uuid4(), HOUR),
    "keep an upload": (store._KEEP_UPLOAD, "uploads/1", HOUR),
    "register inputs": (store._REGISTER_INPUTS, JOBS, ["a"], ["b"], [1], NAMES, [uuid4()]),
    "has an attempt lost": (store._HAS_LOST, uuid4(), uuid4()),
    "list a job": (store._LIST, uuid4(), uuid4(), uuid4()),
    "claim uploads": (sweep_store._CLAIM_UPLOADS, 100, HOUR),
    "forget uploads": (sweep_store._FORGET_UPLOADS, NAMES),
    "claim unswept jobs": (sweep_store._CLAIM_UNSWEPT, 100, HOUR, HOUR),
    "forget losers": (sweep_store._FORGET_LOSERS, JOBS),
    "claim old jobs": (sweep_store._CLAIM_OLD, 100, HOUR, 40 * HOUR),
    "lock inputs": (sweep_store._LOCK_INPUTS, JOBS),
    "release inputs": (sweep_store._RELEASE_INPUTS, NAMES, HOUR),
    "count uploads": (sweep_store._COUNT_UPLOADS, 10_000),
    "count unswept jobs": (sweep_store._COUNT_UNSWEPT, 10_000, HOUR),
    "count old jobs": (sweep_store._COUNT_OLD, 10_000, 40 * HOUR),
}


@pytest.mark.parametrize("what", STATEMENTS)
async def test_no_look_at_the_register_reads_all_of_it(long_register: Any, what: str) -> None:
    statement, *arguments = STATEMENTS[what]
    plan = "\n".join(row[0] for row in await long_register.fetch(f"EXPLAIN {statement}", *arguments))
    assert "Seq Scan" not in plan, plan
    assert "Index" in plan, plan

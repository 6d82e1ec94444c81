"""The tables described in `tables.py` are the tables that the migrations make."""

import asyncpg
import pytest

from devstack.databases import run_module
from devstack.errors import DevstackError
from devstack.services import Service
from service_kit.database import driver_url

MIGRATE = "orchestrator.migrate"


async def test_the_migrations_make_exactly_the_tables_described(admin_url: str) -> None:
    await run_module(MIGRATE, Service.ORCHESTRATOR, admin_url, arguments=("--check",))


async def test_drift_is_found(admin_url: str) -> None:
    connection = await asyncpg.connect(driver_url(admin_url))
    await connection.execute("ALTER TABLE orchestrator.jobs ADD COLUMN forgotten int")
    await connection.close()
    with pytest.raises(DevstackError, match="forgotten"):
        await run_module(MIGRATE, Service.ORCHESTRATOR, admin_url, arguments=("--check",))


async def test_migrating_again_changes_nothing(admin_url: str) -> None:
    connection = await asyncpg.connect(driver_url(admin_url))
    await connection.execute(
        "INSERT INTO orchestrator.workers (worker_id, models, stopping, interval_seconds, last_seen_at)"
        " VALUES ('w', '{}', false, 1, now())"
    )
    await run_module(MIGRATE, Service.ORCHESTRATOR, admin_url)
    assert await connection.fetchval("SELECT count(*) FROM orchestrator.workers") == 1
    await connection.close()

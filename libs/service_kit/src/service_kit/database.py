"""A pool of PostgreSQL connections.

Statements are written by hand and run on bare asyncpg: on the paths where a job's latency is spent, an ORM session costs about
a millisecond a transaction. SQLAlchemy describes the tables, from which Alembic makes and checks the migrations.
"""

from typing import TypeAlias

import asyncpg
from pydantic_core import from_json, to_json

from service_kit.settings import DatabaseSettings

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


async def open_pool(settings: DatabaseSettings, *, service: str) -> Pool:
    """Opens the pool with one connection made, so that a wrong URL or a missing database shows at start.

    JSONB goes in and out as Python objects. Statements are cut after 30 s and idle transactions after 60 s, so that no lock
    outlives a stuck process.
    """
    pooled = settings.database_transaction_pooler
    return await asyncpg.create_pool(
        driver_url(settings.database_url.get_secret_value()),
        min_size=1,
        max_size=settings.database_pool_size,
        command_timeout=30,
        # Behind a transaction pooler the next transaction may run on another server connection, where a
        # prepared statement of this one is unknown and session settings are not ours to make.
        statement_cache_size=0 if pooled else 1024,
        server_settings={}
        if pooled
        else {"application_name": service, "idle_in_transaction_session_timeout": "60000", "jit": "off"},
        init=_speak_json,
        reset=_leave_session_as_it_is,
    )


async def answers(pool: Pool) -> bool:
    """For readiness: a statement goes through."""
    return bool(await pool.fetchval("SELECT true"))


def driver_url(database_url: str) -> str:
    """The URL without SQLAlchemy's driver name, as asyncpg wants it."""
    return database_url.replace("postgresql+asyncpg://", "postgresql://", 1)


async def _speak_json(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=lambda value: to_json(value).decode(), decoder=from_json, schema="pg_catalog"
    )


async def _leave_session_as_it_is(_connection: Connection) -> None:
    """Instead of asyncpg's reset, a round trip after every statement: nobody here sets session state.

    An open transaction is rolled back all the same, before this is called.
    """

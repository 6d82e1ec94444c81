"""A pool of PostgreSQL connections.

Statements are written by hand and run on bare asyncpg: on the paths where a job's latency is spent, an ORM session costs about
a millisecond a transaction. SQLAlchemy describes the tables, from which Alembic makes and checks the migrations.
"""

import asyncio
from typing import Any, TypeAlias

import asyncpg
from pydantic_core import from_json, to_json

from service_kit.metrics import DATABASE_CONNECTIONS, DATABASE_CONNECTIONS_MAX
from service_kit.settings import DatabaseSettings

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
_ACQUIRE_TIMEOUT_SECONDS = 3.0
_CONNECT_TIMEOUT_SECONDS = 5.0
_RELEASE_TIMEOUT_SECONDS = 1.0
_CLOSE_TIMEOUT_SECONDS = 5.0

_SESSION = {
    "jit": "off",
    "idle_in_transaction_session_timeout": "10s",
    # The server finds out within half a minute that the machine at the other end is gone, and frees what it had locked.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class BoundedPool(asyncpg.Pool):  # type: ignore[misc]  # asyncpg has no types
    """asyncpg's pool waits for ever: for a connection that is free, for the server to confirm that it cancelled a statement, for
    its connections to be back when it closes. A server that hangs would hold up every caller, and then the shutdown.
    """

    def acquire(self, *, timeout: float | None = None) -> Any:
        return super().acquire(timeout=_ACQUIRE_TIMEOUT_SECONDS if timeout is None else timeout)

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:
        """A connection that is not fit for others within a second is ended."""
        await super().release(connection, timeout=_RELEASE_TIMEOUT_SECONDS if timeout is None else timeout)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                await super().close()
        except TimeoutError:
            self.terminate()


async def open_pool(settings: DatabaseSettings, *, service: str) -> Pool:
    """Opens the pool with one connection made, so that a wrong URL or a missing database shows at start.

    JSONB goes in and out as Python objects. A statement is cut after `database_timeout_seconds`, so that a server that hangs is
    an error before long; a transaction that idles after 10 s, so that no lock outlives a process that was frozen.
    """
    pooled = settings.database_transaction_pooler
    pool = BoundedPool(
        driver_url(settings.database_address()),
        ssl=settings.database_tls(),
        min_size=1,
        max_size=settings.database_pool_size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300.0,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        timeout=_CONNECT_TIMEOUT_SECONDS,
        command_timeout=settings.database_timeout_seconds,
        # Behind a transaction pooler the next transaction may run on another server connection, where a
        # prepared statement of this one is unknown and session settings are not ours to make.
        statement_cache_size=0 if pooled else 1024,
        server_settings={} if pooled else {"application_name": service} | _SESSION,
        init=_speak_json,
        reset=_leave_session_as_it_is,
    )
    await pool
    _measure(pool)
    return pool


def _measure(pool: Pool) -> None:
    """Asked when the page is read, so that nothing is counted on the way of a statement."""
    DATABASE_CONNECTIONS.labels(state="idle").set_function(pool.get_idle_size)
    DATABASE_CONNECTIONS.labels(state="busy").set_function(lambda: pool.get_size() - pool.get_idle_size())
    DATABASE_CONNECTIONS_MAX.set(pool.get_max_size())


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

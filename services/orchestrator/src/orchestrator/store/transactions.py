"""How long a transaction may hold what others wait for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from service_kit.database import Connection

_IDLE = "SET LOCAL idle_in_transaction_session_timeout = '10s'"
"""A process that is frozen in the middle must not hold up all others. Behind a transaction pooler the session's own limit is not
ours to set."""


async def limit_idle_transaction(connection: Connection) -> None:
    """The server ends this transaction once nothing was heard of it for 10 s."""
    await connection.execute(_IDLE)


@asynccontextmanager
async def commit_turn(connection: Connection) -> AsyncIterator[None]:
    """A transaction that first waits for its turn: one batch commits at a time, across replicas.

    Windows are counted and jobs loaded without anybody moving in between, and no two transactions can deadlock. Batches grow
    instead of running side by side. Begin and lock are one round trip, which is why asyncpg's own transaction is not used.
    """
    await connection.execute(f"BEGIN; {_IDLE}; SELECT pg_advisory_xact_lock(hashtext('orchestrator.commit'))")
    try:
        yield
    except BaseException:
        with suppress(
            Exception
        ):  # a connection that was lost has rolled back, and what went wrong is already being raised
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")

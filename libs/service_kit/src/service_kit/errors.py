"""Whose fault it is decides what happens: operational errors are retried, everything unexpected is a bug."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aio_pika.exceptions
import aiohttp
import asyncpg


class OperationalError(Exception):
    """A dependency is down, slow or restarting. Trying again later is right; nobody needs to be woken."""


class BusUnavailableError(OperationalError):
    """RabbitMQ did not confirm the message in time. It may or may not have been stored."""


class ForeignCancellationError(OperationalError):
    """What was awaited was cancelled, and not because anybody cancelled us."""


@contextmanager
def only_our_cancellation() -> Iterator[None]:
    """Turns a `CancelledError` that nobody asked for into an operational error.

    A process that was frozen for long finds its connection stuck, and aiormq then gives all who wait on it a `CancelledError`.
    Taken for our own it would end loops and leave callers waiting for ever, for no `except Exception` sees it.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ForeignCancellationError from error


_OPERATIONAL = (
    OperationalError,
    # PostgreSQL, by class of SQLSTATE: 08, 57 (shutting down, cancelled), 53 (memory, disk), 58 (I/O), 40 (deadlock).
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # the primary became a standby
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was frozen in the middle of a transaction
    asyncpg.TransactionTimeoutError,
    asyncpg.InvalidCachedStatementError,  # a migration went by
    # A new connection is refused: a password or a name that changes is no reason to bury what is being worked on.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # asyncpg's own: the connection ended in the middle of something, or is not fit to go on.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    aio_pika.exceptions.AMQPError,
    aio_pika.exceptions.ChannelInvalidStateError,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    asyncio.TimeoutError,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    ssl.SSLError,
)


def is_operational(error: BaseException) -> bool:
    """Whether the same work may succeed later without anybody changing anything."""
    if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError):
        return False  # asyncpg's InterfaceError is also what it says of a value that does not fit its parameter
    # An OSError of no finer kind is the network's or the machine's: no route, several addresses that all refuse, disk full.
    return isinstance(error, _OPERATIONAL) or type(error) is OSError

"""Whose fault it is decides what happens: operational errors are retried, everything unexpected is a bug."""

import asyncio

import aio_pika.exceptions
import aiohttp
import asyncpg


class OperationalError(Exception):
    """A dependency is down, slow or restarting. Trying again later is right; nobody needs to be woken."""


class BusUnavailableError(OperationalError):
    """RabbitMQ did not confirm the message in time. It may or may not have been stored."""


_OPERATIONAL = (
    OperationalError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    aio_pika.exceptions.AMQPError,
    aiohttp.ClientConnectionError,
    asyncio.TimeoutError,
    ConnectionError,
    TimeoutError,
)


def is_operational(error: BaseException) -> bool:
    """Whether the same work may succeed later without anybody changing anything."""
    return isinstance(error, _OPERATIONAL)

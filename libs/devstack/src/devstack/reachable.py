"""Whether the server behind an address answers."""

from urllib.parse import urlsplit

import asyncpg

from devstack.addresses import Address, PostgresAddress, RabbitAddress, S3Address
from devstack.readiness import speaks_amqp, speaks_http
from service_kit.database import driver_url


async def answers(address: Address) -> bool:
    return await why_unreachable(address) is None


async def why_unreachable(address: Address) -> str | None:
    """None if the server answers, else the reason it seems not to. Takes a few seconds at most."""
    match address:
        case PostgresAddress(admin_url=url):
            try:
                connection = await asyncpg.connect(driver_url(url), timeout=5, statement_cache_size=0)
            except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                return f"{type(error).__name__}: {error}"
            await connection.close()
            return None
        case RabbitAddress(url=url):
            parts = urlsplit(url)
            encrypted = parts.scheme == "amqps"
            host, port = parts.hostname or "localhost", parts.port or (5671 if encrypted else 5672)
            return None if await speaks_amqp(host, port, encrypted=encrypted) else f"no broker at {host}:{port}"
        case S3Address(endpoint=endpoint):
            return None if await speaks_http(endpoint) else f"nothing at {endpoint}"

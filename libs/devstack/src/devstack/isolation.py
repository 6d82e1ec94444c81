"""A database, a virtual host and a bucket name of one's own on servers that others use too."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from devstack.addresses import PostgresAddress, RabbitAddress, S3Address, ServerAddresses
from devstack.errors import DevstackError
from service_kit.database import driver_url


@asynccontextmanager
async def isolated(servers: ServerAddresses, template: str | None = None) -> AsyncIterator[ServerAddresses]:
    """The same servers, but with a fresh database and virtual host, both dropped after, and the name of a fresh bucket.

    `template` names a database, to which nobody is connected, whose content the fresh one starts with.
    """
    database = await create_database(servers.postgres_admin_url, template)
    try:
        vhost = await create_vhost(servers.rabbitmq) if servers.rabbitmq else None
        try:
            yield ServerAddresses(
                postgres=PostgresAddress(admin_url=database),
                rabbitmq=vhost,
                s3_store=with_fresh_bucket(servers.s3_store) if servers.s3_store else None,
            )
        finally:
            if vhost:
                await drop_vhost(vhost)
    finally:
        await drop_database(database)


async def create_database(admin_url: str, template: str | None = None) -> str:
    """Creates an empty database, or a copy of `template`, on the server of `admin_url` and returns its URL."""
    name = f"p3d_{secrets.token_hex(6)}"
    source = f' TEMPLATE "{template}"' if template else ""
    # FILE_COPY does not write the template's pages through the log: the copy takes a third of the time.
    await _execute(admin_url, f'CREATE DATABASE "{name}"{source} STRATEGY FILE_COPY')
    return _with_path(admin_url, name)


async def drop_database(url: str) -> None:
    """Drops the database the URL names, whoever is still connected to it. Idempotent."""
    await _execute(_with_path(url, "postgres"), f'DROP DATABASE IF EXISTS "{database_name(url)}" WITH (FORCE)')


def database_name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


async def create_vhost(broker: RabbitAddress) -> RabbitAddress:
    """Creates an empty virtual host and returns its address.

    On a broker that somebody else runs none can be made; raises `DevstackError` that says so.
    """
    if broker.vhosts is None:
        raise DevstackError(
            "RABBITMQ_URL names a broker on which devstack cannot make virtual hosts: unset it, or use its own vhost"
        )
    name = f"p3d_{secrets.token_hex(6)}"
    await broker.vhosts.create(name)
    return broker.model_copy(update={"url": _with_path(broker.url, name)})


async def drop_vhost(broker: RabbitAddress) -> None:
    """Drops the virtual host the address names, with every queue in it and every connection to it."""
    if broker.vhosts:
        await broker.vhosts.drop(urlsplit(broker.url).path.lstrip("/"))


def with_fresh_bucket(store: S3Address) -> S3Address:
    """The store with the name of a bucket that does not exist yet: to create it is the artifacts service's work."""
    return store.model_copy(update={"bucket": f"p3d-{secrets.token_hex(6)}"})


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(driver_url(url), statement_cache_size=0)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()

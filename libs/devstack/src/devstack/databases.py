"""Makes a database ready for the services: roles and schemas, tables, master data."""

import asyncio
import hashlib
import hmac
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pydantic import SecretStr

from devstack.addresses import ServerAddresses
from devstack.errors import DevstackError
from devstack.isolation import create_database, database_name, drop_database, isolated
from devstack.services import DATABASE_SERVICES, Service, Superuser, database_url, inherited_environment, role_password
from service_kit.database import driver_url
from service_kit.provision import AdminDatabaseSettings, provision


async def prepare_database(admin_url: str, superuser: Superuser) -> None:
    """Roles and schemas, the newest tables, the superuser and the catalogue of models. Idempotent.

    What was prepared is noted on the schemas themselves, so that a database that is ready is ready again in no time, and one
    whose schemas were dropped is not taken for one.
    """
    # Always: what a role may do in a database does not come along when the database is copied.
    await provision_services(admin_url)
    fingerprint = _fingerprint(admin_url, superuser)
    if await _notes(admin_url) == {fingerprint}:
        return
    await asyncio.gather(*(run_module(f"{service}.migrate", service, admin_url) for service in DATABASE_SERVICES))
    await run_module(
        "gateway.initial_data",
        Service.GATEWAY,
        admin_url,
        {
            "FIRST_SUPERUSER_USERNAME": superuser.username,
            "FIRST_SUPERUSER_PASSWORD": superuser.password,
            "FIRST_SUPERUSER_API_KEY": superuser.api_key,
        },
    )
    await _note(admin_url, fingerprint)


@asynccontextmanager
async def isolated_and_prepared(servers: ServerAddresses, superuser: Superuser) -> AsyncIterator[ServerAddresses]:
    """Like `isolated`, but with a database in which `prepare_database` has nothing left to do.

    It is prepared once on a server and copied from then on, which takes a fraction of a second.
    """
    admin_url = servers.postgres_admin_url
    template = f"p3d_ready_{_fingerprint(admin_url, superuser)[:12]}"
    async with _locked(admin_url, template) as connection:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", template):
            unfinished = await create_database(admin_url)
            try:
                await prepare_database(unfinished, superuser)
                await connection.execute(f'ALTER DATABASE "{database_name(unfinished)}" RENAME TO "{template}"')
            except BaseException:
                await drop_database(unfinished)
                raise
    async with isolated(servers, template) as own:
        yield own


async def provision_services(admin_url: str) -> None:
    """A role and a schema for each service that has tables."""
    admin = AdminDatabaseSettings(database_url=SecretStr(admin_url))
    await provision(admin, {service.value: role_password(admin_url, service) for service in DATABASE_SERVICES})


async def run_module(
    module: str,
    service: Service,
    admin_url: str,
    more: Mapping[str, str] | None = None,
    *,
    arguments: tuple[str, ...] = (),
) -> None:
    """Runs `python -m MODULE` with the service's own database URL; raises `DevstackError` with what it said if it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        env={**inherited_environment(os.environ), "DATABASE_URL": database_url(admin_url, service), **(more or {})},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        said = output.decode(errors="replace").strip()
        raise DevstackError(f"`python -m {' '.join((module, *arguments))}` failed:\n{said}")


def _fingerprint(admin_url: str, superuser: Superuser) -> str:
    """Differs whenever the migrations, the master data or the superuser do. Tells nothing about the superuser's secrets."""
    digest = hmac.new(role_password(admin_url, Service.GATEWAY).encode(), digestmod=hashlib.sha256)
    for file in _what_prepares():
        digest.update(file.name.encode() + file.read_bytes())
    digest.update("\0".join((superuser.username, superuser.password, superuser.api_key)).encode())
    return digest.hexdigest()


def _what_prepares() -> Iterator[Path]:
    for service in DATABASE_SERVICES:
        found = importlib.util.find_spec(service)
        if found is None or found.origin is None:
            raise DevstackError(f"the package {service} is not installed: run `make setup`")
        package = Path(found.origin).parent
        yield from sorted(package.glob("migrations/**/*.py"))
        yield from sorted(package.glob("seeds/*"))


async def _notes(admin_url: str) -> set[str | None]:
    connection = await asyncpg.connect(driver_url(admin_url), statement_cache_size=0)
    try:
        rows = await connection.fetch(
            "SELECT obj_description(oid, 'pg_namespace') AS note FROM pg_namespace WHERE nspname = ANY($1::text[])",
            [service.value for service in DATABASE_SERVICES],
        )
        return {row["note"] for row in rows}
    finally:
        await connection.close()


async def _note(admin_url: str, fingerprint: str) -> None:
    connection = await asyncpg.connect(driver_url(admin_url), statement_cache_size=0)
    try:
        for service in DATABASE_SERVICES:
            await connection.execute(f"COMMENT ON SCHEMA \"{service}\" IS '{fingerprint}'")
    finally:
        await connection.close()


@asynccontextmanager
async def _locked(admin_url: str, what: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """One at a time on the whole server. An advisory lock is seen in its own database only, hence always the same one."""
    common = urlunsplit(urlsplit(driver_url(admin_url))._replace(path="/postgres"))
    connection = await asyncpg.connect(common, statement_cache_size=0)
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtext($1))", f"pipeline3d.{what}")
        yield connection
    finally:
        await connection.close()  # and with it the lock

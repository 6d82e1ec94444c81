"""`python -m service_kit.provision SERVICE`: a role and a schema of its own for one service.

Reads `ADMIN_DATABASE_URL` (a role that may create roles and schemas) and `SERVICE_PASSWORD`. Idempotent; a second run sets the
password anew. The role owns its schema and can neither see nor touch another's.
"""

import asyncio
import os
import sys

import asyncpg

from service_kit.database import driver_url

SERVICES = ("gateway", "orchestrator", "artifacts")


def role_of(service: str) -> str:
    return f"p3d_{service}"


async def provision(admin_url: str, service: str, password: str) -> None:
    """Makes the role `p3d_<service>` and the schema `<service>` it owns, in the database the URL names."""
    if service not in SERVICES:
        raise ValueError(f"{service!r} is not one of {', '.join(SERVICES)}")
    connection = await asyncpg.connect(driver_url(admin_url))
    try:
        async with connection.transaction():
            # Roles belong to the whole server: two databases being prepared at once must not race for one.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('pipeline3d.provision'))")
            await _provision(connection, service, role_of(service), password)
    finally:
        await connection.close()


async def _provision(connection: "asyncpg.Connection[asyncpg.Record]", service: str, role: str, password: str) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f'CREATE ROLE "{role}"')
    # Utility statements take no parameters; quote_literal is the server's own quoting.
    quoted = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(f'ALTER ROLE "{role}" LOGIN NOINHERIT NOCREATEDB NOCREATEROLE PASSWORD {quoted}')
    await connection.execute(f'GRANT "{role}" TO CURRENT_USER')
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f'GRANT CONNECT ON DATABASE {database} TO "{role}"')
    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{service}" AUTHORIZATION "{role}"')
    await connection.execute(f'REVOKE ALL ON SCHEMA "{service}" FROM PUBLIC')


def main() -> None:
    arguments = sys.argv[1:]
    missing = [name for name in ("ADMIN_DATABASE_URL", "SERVICE_PASSWORD") if not os.environ.get(name)]
    if len(arguments) != 1 or arguments[0] not in SERVICES or missing:
        needs = f"; set {' and '.join(missing)}" if missing else ""
        raise SystemExit(f"usage: python -m service_kit.provision {{{'|'.join(SERVICES)}}}{needs}")
    asyncio.run(provision(os.environ["ADMIN_DATABASE_URL"], arguments[0], os.environ["SERVICE_PASSWORD"]))


if __name__ == "__main__":
    main()

"""`python -m service_kit.provision [SERVICE…]`: a role and a schema of its own for each service, or for those named.

Reads `ADMIN_DATABASE_URL` (a role that may create roles and schemas; `DatabaseSettings` with the prefix ADMIN_) and the services'
passwords, `DATABASE_PASSWORD_GATEWAY`, `…_ORCHESTRATOR`, `…_ARTIFACTS`. Idempotent, and may run several times at once; a second
run sets the passwords anew. A role owns its schema, in which it may do anything, and can neither see nor touch another's.
"""

import asyncio
import random
import sys
from collections.abc import Mapping
from typing import TypeAlias

import asyncpg
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from service_kit.database import driver_url
from service_kit.environment import EnvironmentSettings, load_settings
from service_kit.settings import DatabaseSettings

SERVICES = ("gateway", "orchestrator", "artifacts")

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_TRIES = 20
_LONGEST_PAUSE_SECONDS = 0.2
_MET_ANOTHER_RUN = (
    asyncpg.DuplicateObjectError,
    asyncpg.DuplicateSchemaError,
    asyncpg.UniqueViolationError,
    asyncpg.InternalServerError,  # "tuple concurrently updated": PostgreSQL has no better code for it
)


class AdminDatabaseSettings(DatabaseSettings):
    model_config = SettingsConfigDict(env_prefix="ADMIN_")


class RolePasswords(EnvironmentSettings):
    database_password_gateway: SecretStr | None = None
    database_password_orchestrator: SecretStr | None = None
    database_password_artifacts: SecretStr | None = None

    def of(self, service: str) -> str:
        """Ends the process where it is not set."""
        password: SecretStr | None = getattr(self, f"database_password_{service}")
        if password is None:
            name = f"database_password_{service}"
            raise SystemExit(f"provision: set {name.upper()}, or put a file {name} into SECRETS_DIR")
        return password.get_secret_value()


def role_of(service: str) -> str:
    return f"p3d_{service}"


async def provision(admin: DatabaseSettings, passwords: Mapping[str, str]) -> None:
    """For each service a role `p3d_<service>` and a schema `<service>` that it owns, in the database of the settings."""
    if unknown := passwords.keys() - set(SERVICES):
        raise ValueError(f"{', '.join(sorted(unknown))} is not one of {', '.join(SERVICES)}")
    connection = await asyncpg.connect(
        driver_url(admin.database_address()), ssl=admin.database_tls(), statement_cache_size=0
    )
    try:
        for service, password in passwords.items():
            await _provision_patiently(connection, service, password)
    finally:
        await connection.close()


async def _provision_patiently(connection: Connection, service: str, password: str) -> None:
    """Roles belong to the whole server, and no lock does: where another run, for this or for another of its databases, was at
    the same role in the same moment, one of the two begins again."""
    for left in reversed(range(_TRIES)):
        try:
            async with connection.transaction():
                return await _provision(connection, service, role_of(service), password)
        except _MET_ANOTHER_RUN:
            if not left:
                raise
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311  # so that the two do not meet again
    raise AssertionError("the last try returns or raises")


async def _provision(connection: Connection, service: str, role: str, password: str) -> None:
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
    services = sys.argv[1:] or list(SERVICES)
    if unknown := sorted(set(services) - set(SERVICES)):
        raise SystemExit(
            f"usage: python -m service_kit.provision [{'|'.join(SERVICES)}…]; there is no {', '.join(unknown)}"
        )
    admin, passwords = load_settings(AdminDatabaseSettings, "provision"), load_settings(RolePasswords, "provision")
    given = {service: passwords.of(service) for service in services}
    try:
        asyncio.run(provision(admin, given))
    except (OSError, asyncpg.PostgresError) as error:
        raise SystemExit(f"provision: the database named by ADMIN_DATABASE_URL cannot be prepared: {error}") from None


if __name__ == "__main__":
    main()

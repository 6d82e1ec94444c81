"""`python -m devstack migrations-check`: whether the tables in the code are those the migrations make."""

import logging
from pathlib import Path

from devstack.addresses import ServerKind
from devstack.databases import provision_services, run_module
from devstack.errors import DevstackError
from devstack.isolation import create_database, drop_database
from devstack.servers import servers
from devstack.services import DATABASE_SERVICES

_log = logging.getLogger("devstack")


async def migrations_check(root: Path) -> int:
    """Migrates a fresh database and compares; 1 if a service's tables and migrations differ."""
    failed = False
    async with servers(root / ".state" / "check", {ServerKind.POSTGRES}, durable=False) as addresses:
        database = await create_database(addresses.postgres_admin_url)
        try:
            await provision_services(database)
            for service in DATABASE_SERVICES:
                try:
                    await run_module(f"{service}.migrate", service, database)
                    await run_module(f"{service}.migrate", service, database, arguments=("--check",))
                except DevstackError as error:
                    _log.error("%s", error)
                    failed = True
                else:
                    _log.info("%s: tables and migrations agree", service)
        finally:
            await drop_database(database)
    return int(failed)

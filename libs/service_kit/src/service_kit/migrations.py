"""One Alembic history per service, kept in its own schema. `python -m <service>.migrate` upgrades, `--check` finds drift."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from service_kit.environment import load_settings
from service_kit.logging import configure_logging
from service_kit.logging.settings import LogSettings
from service_kit.settings import DatabaseSettings


class MigrationSettings(LogSettings, DatabaseSettings):
    """What `python -m <service>.migrate` reads."""


def migrate_main(service: str, migrations: Path) -> None:
    """The command line of a service's `migrate` module: ``[--check | --revision MESSAGE]``; reads `MigrationSettings`."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["settings"] = settings = load_settings(MigrationSettings, service)
    configure_logging(service, settings)
    arguments = sys.argv[1:]
    try:
        match arguments:
            case []:
                command.upgrade(config, "head")
            case ["--check"]:
                command.check(config)
            case ["--revision", message]:
                command.revision(config, message, autogenerate=True)
            case _:
                raise SystemExit(f"usage: python -m {service}.migrate [--check | --revision MESSAGE]")
    except CommandError as error:
        raise SystemExit(f"{service}: {error}") from None
    except (OSError, DBAPIError) as error:
        if isinstance(error, DBAPIError) and error.statement is not None:
            raise  # a migration is wrong, which its stack tells
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise SystemExit(f"{service}: the database named by DATABASE_URL cannot be used: {reason}") from None


def run_environment(metadata: MetaData) -> None:
    """What a service's `migrations/env.py` does: runs the history on the schema of `metadata`."""
    asyncio.run(_run(context.config.attributes["settings"], metadata))


async def _run(settings: DatabaseSettings, metadata: MetaData) -> None:
    connecting: dict[str, Any] = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    if (tls := settings.database_tls()) is not None:
        connecting["ssl"] = tls
    engine = create_async_engine(settings.database_address(), poolclass=NullPool, connect_args=connecting)
    try:
        async with engine.begin() as connection:
            # A migration that cannot get its lock soon gives up, rather than make every query queue behind it.
            await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            await connection.run_sync(_run_history, metadata)
    finally:
        await engine.dispose()


def _run_history(connection: Connection, metadata: MetaData) -> None:
    schema = metadata.schema
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=schema,
        include_schemas=True,
        include_name=lambda name, kind, _parents: kind != "schema" or name == schema,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()

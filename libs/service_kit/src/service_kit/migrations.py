"""One Alembic history per service, kept in its own schema. `python -m <service>.migrate` upgrades, `--check` finds drift."""

import asyncio
import os
import sys
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import MetaData, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


def migrate_main(service: str, migrations: Path) -> None:
    """The command line of a service's `migrate` module: ``[--check | --revision MESSAGE]``; reads `DATABASE_URL`."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit(f"{service}: set DATABASE_URL to the database whose schema {service!r} is to be migrated")
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["database_url"] = url
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


def run_environment(metadata: MetaData) -> None:
    """What a service's `migrations/env.py` does: runs the history on the schema of `metadata`."""
    asyncio.run(_run(context.config.attributes["database_url"], metadata))


async def _run(url: str, metadata: MetaData) -> None:
    engine = create_async_engine(
        url, poolclass=NullPool, connect_args={"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    )
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

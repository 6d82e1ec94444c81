"""`python -m gateway.initial_data`: the master data, made or brought up to date. Idempotent.

* the superuser of FIRST_SUPERUSER_USERNAME, with FIRST_SUPERUSER_PASSWORD and exactly the one key FIRST_SUPERUSER_API_KEY: keys
  of theirs that are not configured any more are revoked;
* the models of `seeds/ai_models.json`: a model that left the file is retired, its jobs stay readable.
"""

import asyncio
from importlib.resources import files

import asyncpg
import structlog
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from pydantic import TypeAdapter

from gateway.api_key import ApiKey
from gateway.catalogue import Catalogue, CatalogueEntry
from gateway.settings import InitialDataSettings
from gateway.store.models import replace_models
from gateway.store.users import add_key, password_hash_of, revoke_other_keys, upsert_user
from service_kit.database import Connection, open_pool
from service_kit.environment import load_settings
from service_kit.logging import configure_logging

log = structlog.get_logger()

_HASHER = PasswordHasher()  # argon2id with the parameters of RFC 9106, second recommendation


def seed_models() -> list[CatalogueEntry]:
    """The entries of `ai_models.json`; each schema must compile and accept its own defaults' names."""
    entries = TypeAdapter(list[CatalogueEntry]).validate_json(
        files("gateway").joinpath("seeds/ai_models.json").read_bytes()
    )
    Catalogue(entries)
    return entries


async def write_initial_data(settings: InitialDataSettings) -> None:
    """Everything in one transaction. Raises asyncpg errors."""
    pool = await open_pool(settings, service="gateway.initial_data")
    try:
        async with pool.acquire() as connection, connection.transaction():
            await _write_superuser(connection, settings)
            entries = seed_models()
            retired = await replace_models(connection, entries)
    finally:
        await pool.close()
    log.info("gateway.initial_data.written", models=[entry.id for entry in entries], retired=retired)


async def _write_superuser(connection: Connection, settings: InitialDataSettings) -> None:
    username = settings.first_superuser_username
    key = ApiKey.of(settings.first_superuser_api_key.get_secret_value())
    stored = await password_hash_of(connection, username)
    password_hash = _hash_unless_same(settings.first_superuser_password.get_secret_value(), stored)
    user_id = await upsert_user(connection, username, password_hash=password_hash)
    await add_key(connection, user_id, key)
    await revoke_other_keys(connection, user_id, key)


def _hash_unless_same(password: str, stored: str | None) -> str:
    """Argon2 salts every hash: hashing anew each time would make every run a change."""
    try:
        if stored is not None and _HASHER.verify(stored, password) and not _HASHER.check_needs_rehash(stored):
            return stored
    except VerifyMismatchError:
        pass
    return _HASHER.hash(password)


def main() -> None:
    settings = load_settings(InitialDataSettings, "gateway.initial_data")
    configure_logging("gateway", settings)
    try:
        asyncio.run(write_initial_data(settings))
    except asyncpg.UndefinedTableError:
        raise SystemExit("gateway: the schema is not there yet; run `python -m gateway.migrate` first") from None
    except (OSError, asyncpg.PostgresError) as error:
        raise SystemExit(f"gateway: the database named by DATABASE_URL cannot be used: {error}") from None


if __name__ == "__main__":
    main()

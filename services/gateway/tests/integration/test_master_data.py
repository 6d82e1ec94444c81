"""`initial_data` and `users`: what they leave in the database, however often they run."""

from typing import Any

import asyncpg
import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from gateway.api_key import hash_of
from gateway.initial_data import seed_models, write_initial_data
from gateway.settings import InitialDataSettings
from gateway.store.models import replace_models
from gateway.users import add, revoke
from service_kit.database import open_pool
from service_kit.settings import DatabaseSettings


@pytest.fixture
def with_data(gateway_database: str) -> Any:
    def make(name: str, password: str, key: str) -> InitialDataSettings:
        return InitialDataSettings(
            database_url=SecretStr(gateway_database),
            first_superuser_username=name,
            first_superuser_password=SecretStr(password),
            first_superuser_api_key=SecretStr(key),
        )

    return make


async def _everything(database: Any) -> Any:
    return [
        await database.fetch(f"SELECT * FROM gateway.{table} ORDER BY id") for table in ("users", "api_keys", "models")
    ]


async def test_second_run_changes_nothing(with_data: Any, database: Any) -> None:
    settings = with_data("second", "password", "a-key-of-sixteen-or-more")
    await write_initial_data(settings)
    before = await _everything(database)
    await write_initial_data(settings)
    assert await _everything(database) == before


async def test_secrets_are_stored_hashed_and_only_the_configured_key_works(with_data: Any, database: Any) -> None:
    await write_initial_data(with_data("third", "old password", "the-first-key-of-third"))
    await write_initial_data(with_data("third", "new password", "the-second-key-of-third"))
    stored = await database.fetchval("SELECT password_hash FROM gateway.users WHERE username = 'third'")
    assert stored.startswith("$argon2id$")
    assert PasswordHasher().verify(stored, "new password")
    keys = await database.fetch(
        "SELECT key_hash, revoked_at IS NULL AS valid FROM gateway.api_keys JOIN gateway.users ON users.id = user_id"
        " WHERE username = 'third' ORDER BY api_keys.created_at"
    )
    assert [tuple(key) for key in keys] == [
        (hash_of("the-first-key-of-third"), False),
        (hash_of("the-second-key-of-third"), True),
    ]


async def test_model_that_left_the_file_is_retired_and_one_that_returns_is_offered_again(
    gateway_database: str, database: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    pool = await open_pool(DatabaseSettings(database_url=SecretStr(gateway_database)), service="test")
    models = seed_models()
    async with pool, pool.acquire() as connection, connection.transaction():
        assert "dreamfusion-sd" in await replace_models(connection, [m for m in models if m.id != "dreamfusion-sd"])
        assert await replace_models(connection, models) == []
        assert not await connection.fetchval("SELECT retired FROM gateway.models WHERE id = 'dreamfusion-sd'")


async def test_key_is_revoked_by_its_prefix_once(gateway_database: str) -> None:
    settings = DatabaseSettings(database_url=SecretStr(gateway_database))
    key, other = await add(settings, "carol", priority=5), await add(settings, "carol", priority=None)
    assert key != other
    assert await revoke(settings, key[:12]) == 1
    assert await revoke(settings, key[:12]) == 0

from collections.abc import AsyncIterator

import asyncpg
import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel, SecretStr

from service_kit.database import Pool, answers, open_pool
from service_kit.errors import is_operational
from service_kit.settings import DatabaseSettings


@pytest.fixture(params=[False, True], ids=["direct", "behind a transaction pooler"])
async def pool(admin_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    settings = DatabaseSettings(database_url=SecretStr(admin_url), database_transaction_pooler=request.param)
    pool = await open_pool(settings, service="test")
    yield pool
    await pool.close()


class Point(BaseModel):
    x: float
    label: str | None


async def test_json_goes_in_and_comes_out_as_objects(pool: Pool) -> None:
    value = {"a": [1, 2.5, None, "ü"], "point": Point(x=1, label=None)}
    assert await pool.fetchval("SELECT $1::jsonb", value) == {
        "a": [1, 2.5, None, "ü"],
        "point": {"x": 1.0, "label": None},
    }


async def test_the_database_answers(pool: Pool) -> None:
    assert await answers(pool)


async def test_the_pool_shows_how_many_of_its_connections_are_busy(pool: Pool) -> None:
    def connections(state: str) -> float | None:
        return REGISTRY.get_sample_value("p3d_database_pool_connections", {"state": state})

    async with pool.acquire(), pool.acquire():
        assert (connections("busy"), connections("idle")) == (2, 0)
    assert (connections("busy"), connections("idle")) == (0, 2)
    assert REGISTRY.get_sample_value("p3d_database_pool_connections_max") == 10


async def test_a_transaction_left_by_an_error_leaves_nothing_behind(pool: Pool) -> None:
    await pool.execute("CREATE TABLE things (id int)")

    async def fail_half_way() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO things VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_half_way()
    assert await pool.fetchval("SELECT count(*) FROM things") == 0


async def test_a_wrong_url_shows_at_start() -> None:
    with pytest.raises(OSError, match="1"):
        await open_pool(DatabaseSettings(database_url=SecretStr("postgresql://u:p@127.0.0.1:1/x")), service="test")


async def test_a_connection_that_the_server_ended_is_an_outage_and_not_a_bug(pool: Pool, admin_url: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await pool.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert is_operational(caught.value)
    assert await answers(pool)

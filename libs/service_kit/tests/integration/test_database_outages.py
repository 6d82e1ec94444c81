"""The pool while the server is gone, or there and silent, on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic import SecretStr

from devstack.severable import SeverableWay
from service_kit.database import Pool, answers, open_pool
from service_kit.errors import is_operational
from service_kit.settings import DatabaseSettings

STATEMENT_SECONDS = 1.0


@pytest.fixture
async def way(admin_url: str) -> AsyncIterator[SeverableWay]:
    async with SeverableWay(admin_url) as way:
        yield way


@pytest.fixture
async def pool(way: SeverableWay) -> AsyncIterator[Pool]:
    settings = DatabaseSettings(
        database_url=SecretStr(way.url), database_pool_size=2, database_timeout_seconds=STATEMENT_SECONDS
    )
    pool = await open_pool(settings, service="test")
    yield pool
    way.thaw()
    await pool.close()


async def outcome_of(work: Callable[[], Awaitable[object]]) -> tuple[BaseException | None, float]:
    """What it raised, and after how many seconds."""
    began = time.monotonic()
    try:
        await work()
    except Exception as error:
        return error, time.monotonic() - began
    return None, time.monotonic() - began


async def test_a_server_that_hangs_is_an_outage_for_everybody_within_seconds(pool: Pool, way: SeverableWay) -> None:
    await asyncio.gather(answers(pool), answers(pool))
    way.freeze()
    outcomes = await asyncio.gather(*(outcome_of(lambda: pool.fetchval("SELECT 1")) for _ in range(20)))
    assert all(error is not None and is_operational(error) for error, _ in outcomes), outcomes
    assert max(seconds for _, seconds in outcomes) < 9


async def test_a_pool_is_as_good_as_new_once_the_server_answers_again(pool: Pool, way: SeverableWay) -> None:
    way.freeze()
    await asyncio.gather(*(outcome_of(lambda: answers(pool)) for _ in range(4)))
    way.thaw()
    assert await asyncio.gather(*(answers(pool) for _ in range(4))) == [True] * 4
    way.cut()
    error, seconds = await outcome_of(lambda: answers(pool))
    assert error is not None
    assert is_operational(error)
    assert seconds < 1
    await way.mend()
    assert await asyncio.gather(*(answers(pool) for _ in range(4))) == [True] * 4


async def test_a_pool_closes_although_the_server_hangs(pool: Pool, way: SeverableWay) -> None:
    busy = asyncio.create_task(outcome_of(lambda: pool.fetchval("SELECT pg_sleep(60)", timeout=60)))
    await asyncio.sleep(0)
    way.freeze()
    error, seconds = await outcome_of(pool.close)
    assert (error, seconds < 8) == (None, True)
    assert is_operational((await busy)[0] or ValueError())


async def test_a_statement_that_is_cut_leaves_its_connection_fit_for_the_next(pool: Pool) -> None:
    error, seconds = await outcome_of(lambda: pool.fetchval("SELECT pg_sleep(60)"))
    assert isinstance(error, TimeoutError)
    assert seconds < 3
    assert await answers(pool)


async def test_a_value_that_does_not_fit_is_a_bug_and_no_outage(pool: Pool) -> None:
    error, _ = await outcome_of(lambda: pool.fetchval("SELECT $1::int", 2**40))
    assert error is not None
    assert not is_operational(error)


async def test_several_addresses_that_all_refuse_are_an_outage(unused_tcp_port: int) -> None:
    settings = DatabaseSettings(database_url=SecretStr(f"postgresql://u:p@localhost:{unused_tcp_port}/x"))
    error, _ = await outcome_of(lambda: open_pool(settings, service="test"))
    assert error is not None
    assert is_operational(error)

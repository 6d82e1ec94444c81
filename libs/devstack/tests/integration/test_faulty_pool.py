"""What a lost connection leaves behind, and what its user is told: as a real loss does."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr

from devstack.faults.plan import Decision, Fault, FaultPlan
from devstack.faults.pool import FaultyPool
from service_kit.database import Pool, open_pool
from service_kit.errors import is_operational
from service_kit.settings import DatabaseSettings


class Once(FaultPlan):
    """One fault, at the first call of one site."""

    def __init__(self, site: str, fault: Fault) -> None:
        super().__init__(0)
        self._site, self._fault = site, fault

    def decide(self, site: str, *possible: Fault) -> Decision:
        fault = self._fault if site == self._site and self._fault in possible else None
        self._site = "" if fault else self._site
        return Decision(site, 1, fault)


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    pool = await open_pool(DatabaseSettings(database_url=SecretStr(postgres_url), database_pool_size=2), service="test")
    await pool.execute(
        "CREATE SCHEMA IF NOT EXISTS s; CREATE TABLE IF NOT EXISTS s.notes (note text); TRUNCATE s.notes"
    )
    yield pool
    await pool.close()


async def notes(pool: Pool) -> list[str]:
    return [row["note"] for row in await pool.fetch("SELECT note FROM s.notes")]


async def write_in_transaction(pool: FaultyPool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO s.notes VALUES ('kept')")


async def write_by_hand(pool: FaultyPool) -> None:
    async with pool.acquire() as connection:
        await connection.execute("BEGIN; SELECT 1")
        await connection.execute("INSERT INTO s.notes VALUES ('kept')")
        await connection.execute("COMMIT")


async def write_alone(pool: FaultyPool) -> None:
    await pool.execute("INSERT INTO s.notes VALUES ('kept')")


@pytest.mark.parametrize(
    ("write", "site", "fault", "error", "left"),
    [
        (write_in_transaction, "a acquire", Fault.BEFORE, asyncpg.CannotConnectNowError, []),
        (write_in_transaction, "a BEGIN", Fault.BEFORE, asyncpg.InterfaceError, []),
        (write_in_transaction, "a INSERT s.notes", Fault.BEFORE, asyncpg.InterfaceError, []),
        (write_by_hand, "a INSERT s.notes", Fault.AFTER, asyncpg.ConnectionDoesNotExistError, []),
        (write_in_transaction, "a COMMIT of INSERT s.notes", Fault.BEFORE, asyncpg.InterfaceError, []),
        (
            write_in_transaction,
            "a COMMIT of INSERT s.notes",
            Fault.AFTER,
            asyncpg.ConnectionDoesNotExistError,
            ["kept"],
        ),
        (write_by_hand, "a COMMIT of INSERT s.notes", Fault.BEFORE, asyncpg.InterfaceError, []),
        (write_by_hand, "a COMMIT of INSERT s.notes", Fault.AFTER, asyncpg.ConnectionDoesNotExistError, ["kept"]),
        (write_alone, "a INSERT s.notes", Fault.BEFORE, asyncpg.InterfaceError, []),
        (write_alone, "a INSERT s.notes", Fault.AFTER, asyncpg.ConnectionDoesNotExistError, ["kept"]),
    ],
)
async def test_a_connection_lost_before_the_effect_undoes_it_and_one_lost_after_it_does_not(  # noqa: PLR0917  # a table's row
    pool: Pool, write: object, site: str, fault: Fault, error: type[Exception], left: list[str]
) -> None:
    assert callable(write)
    faulty = FaultyPool(pool, Once(site, fault), "a")
    with pytest.raises(error) as caught:
        await write(faulty)
    assert is_operational(caught.value)
    assert await notes(pool) == left
    await write(faulty)  # the pool has replaced what it lost
    assert await notes(pool) == [*left, "kept"]


async def test_a_statement_is_named_by_its_verb_and_its_first_table(pool: Pool) -> None:
    named: list[str] = []

    class Listening(FaultPlan):
        def decide(self, site: str, *possible: Fault) -> Decision:
            named.append(site)
            return super().decide(site, *possible)

    faulty = FaultyPool(pool, Listening(0), "a")
    await faulty.fetch("SELECT x.note FROM (SELECT 1) one LEFT JOIN (s.notes x CROSS JOIN s.notes y) ON true")
    await faulty.fetchval("SELECT true")
    assert named == ["a acquire", "a SELECT s.notes", "a acquire", "a SELECT"]

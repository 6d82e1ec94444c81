"""A pool of PostgreSQL connections that get lost: before a statement reached the server, or before its answer came back."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from devstack.faults.plan import Fault, FaultPlan
from service_kit.database import Connection, Pool

T = TypeVar("T")

_TABLE = re.compile(r"(?:FROM|INTO|UPDATE|JOIN)[\s(]+(?!SELECT|unnest|jsonb)(\w+\.\w+)")


class FaultyPool:
    """Stands before a real pool; what it does not name is the real pool's own.

    Faults end real connections, so the server is in the state that it would be in: a transaction that lost its connection is
    rolled back by the server, a COMMIT that was applied stays applied. Errors are asyncpg's own, or those that it raises then.
    """

    def __init__(self, pool: Pool, plan: FaultPlan, name: str) -> None:
        self._pool = pool
        self._plan = plan
        self._name = name

    @asynccontextmanager
    async def acquire(self) -> "AsyncIterator[FaultyConnection]":
        decision = self._plan.decide(f"{self._name} acquire", Fault.BEFORE, Fault.DELAY)
        if decision.fault is Fault.DELAY:
            await asyncio.sleep(decision.delay_seconds)
        if decision.fault is Fault.BEFORE:
            raise asyncpg.CannotConnectNowError("the database system is starting up")
        async with self._pool.acquire() as connection:
            yield FaultyConnection(connection, self._plan, self._name)

    async def execute(self, query: str, *args: Any) -> Any:
        async with self.acquire() as connection:
            return await connection.execute(query, *args)

    async def fetch(self, query: str, *args: Any) -> Any:
        async with self.acquire() as connection:
            return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        async with self.acquire() as connection:
            return await connection.fetchval(query, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class FaultyConnection:
    """A connection of a `FaultyPool`. Once a fault has ended it, it stays ended, as a real one does."""

    def __init__(self, connection: Connection, plan: FaultPlan, name: str) -> None:
        self._connection = connection
        self._plan = plan
        self._name = name
        self._latest = ""

    async def execute(self, query: str, *args: Any) -> Any:
        return await self.attempt(query, lambda: self._connection.execute(query, *args))

    async def fetch(self, query: str, *args: Any) -> Any:
        return await self.attempt(query, lambda: self._connection.fetch(query, *args))

    async def fetchrow(self, query: str, *args: Any) -> Any:
        return await self.attempt(query, lambda: self._connection.fetchrow(query, *args))

    async def fetchval(self, query: str, *args: Any) -> Any:
        return await self.attempt(query, lambda: self._connection.fetchval(query, *args))

    def transaction(self, **options: Any) -> "FaultyTransaction":
        return FaultyTransaction(self, self._connection.transaction(**options))

    async def attempt(self, query: str, statement: Callable[[], Awaitable[T]]) -> T:
        """The statement's answer, unless the plan wants it, or its answer, lost."""
        site = f"{self._name} {self._named(query)}"
        decision = self._plan.decide(site, Fault.BEFORE, Fault.AFTER, Fault.DELAY)
        if decision.fault is Fault.DELAY:
            await asyncio.sleep(decision.delay_seconds)
        if decision.fault is Fault.BEFORE:
            self._connection.terminate()  # asyncpg notices in the statement
        answer = await statement()
        if decision.fault is Fault.AFTER:
            self._connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return answer

    def _named(self, query: str) -> str:
        """A short name: the verb and the first table. A COMMIT is named after the statement before it: it says of what."""
        table = _TABLE.search(query)
        verb = query.lstrip(" \n(").split(maxsplit=1)[0].rstrip(";")
        if verb == "COMMIT":
            return f"COMMIT of {self._latest}"
        self._latest = f"{verb} {table[1]}" if table else verb
        return self._latest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class FaultyTransaction:
    """asyncpg's transaction, whose BEGIN and COMMIT may be lost."""

    def __init__(self, connection: FaultyConnection, transaction: Any) -> None:
        self._connection = connection
        self._transaction = transaction

    async def __aenter__(self) -> None:
        await self._connection.attempt("BEGIN", self._transaction.start)

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            await self._connection.attempt("COMMIT", self._transaction.commit)
        else:
            await self._transaction.rollback()

"""A database that notes how it would run each statement, and then runs it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg


class Explained:
    """Stands in for the gateway's `Database`: one connection, whose every statement is explained first."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", *, options: str = "FORMAT JSON") -> None:
        self._connection = connection
        self._options = options
        self.plans: list[tuple[str, Any]] = []
        """Each statement with its plan, in order."""

    @property
    def pool(self) -> "Explained":
        return self

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator["Explained"]:
        yield self

    def transaction(self) -> Any:
        return self._connection.transaction()

    async def fetch(self, statement: str, *values: Any) -> Any:
        await self._explain(statement, values)
        return await self._connection.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: Any) -> Any:
        await self._explain(statement, values)
        return await self._connection.fetchrow(statement, *values)

    async def execute(self, statement: str, *values: Any) -> Any:
        await self._explain(statement, values)
        return await self._connection.execute(statement, *values)

    async def _explain(self, statement: str, values: tuple[Any, ...]) -> None:
        # ANALYZE runs what it explains: what that did is undone, so that it can be done in earnest.
        async with self._connection.transaction() as _:
            undone = self._connection.transaction()
            await undone.start()
            rows = await self._connection.fetch(f"EXPLAIN ({self._options}) {statement}", *values)
            await undone.rollback()
        self.plans.append((statement, [row[0] for row in rows]))


def nodes(plan: Any) -> Iterator[dict[str, Any]]:
    """Every node of a plan in FORMAT JSON."""
    match plan:
        case dict():
            if "Node Type" in plan:
                yield plan
            for child in plan.values():
                yield from nodes(child)
        case list():
            for child in plan:
                yield from nodes(child)

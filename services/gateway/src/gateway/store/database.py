"""The pool, opened when the service starts."""

from service_kit.database import Pool, open_pool
from service_kit.errors import OperationalError
from service_kit.settings import DatabaseSettings


class DatabaseClosedError(OperationalError):
    """The database is not open yet, or no longer."""


class Database:
    """Can be handed to everything that needs it before it is open."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._pool: Pool | None = None

    @property
    def pool(self) -> Pool:
        if self._pool is None:
            raise DatabaseClosedError
        return self._pool

    async def open(self) -> None:
        self._pool = await open_pool(self._settings, service="gateway")

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def ping(self) -> bool:
        return bool(await self.pool.fetchval("SELECT true"))

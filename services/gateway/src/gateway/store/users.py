"""Users and their API keys."""

from collections.abc import Sequence

from contracts.ids import UserId
from gateway.api_key import ApiKey
from gateway.store.database import Database
from gateway.user import User
from service_kit.database import Connection
from service_kit.ids import new_uuid

_BY_KEYS = """
SELECT api_keys.key_hash, users.id, users.priority
FROM gateway.api_keys JOIN gateway.users ON users.id = api_keys.user_id
WHERE api_keys.key_hash = ANY($1::bytea[]) AND api_keys.revoked_at IS NULL AND users.is_active
"""

_UPSERT_USER = """
INSERT INTO gateway.users (id, username, password_hash, priority) VALUES ($1, $2, $3, $4)
ON CONFLICT (username) DO UPDATE SET password_hash = coalesce(excluded.password_hash, users.password_hash),
    is_active = true, priority = CASE WHEN $5 THEN excluded.priority ELSE users.priority END
RETURNING id
"""

_ADD_KEY = """
INSERT INTO gateway.api_keys (id, user_id, key_hash, prefix) VALUES ($1, $2, $3, $4)
ON CONFLICT (key_hash) DO UPDATE SET user_id = excluded.user_id, revoked_at = NULL
"""

_REVOKE_OTHERS = """
UPDATE gateway.api_keys SET revoked_at = now() WHERE user_id = $1 AND key_hash <> $2 AND revoked_at IS NULL
"""

_REVOKE = "UPDATE gateway.api_keys SET revoked_at = now() WHERE prefix = $1 AND revoked_at IS NULL RETURNING id"


class UserReader:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_key_hashes(self, key_hashes: Sequence[bytes]) -> dict[bytes, User]:
        """The active users behind those keys that are not revoked."""
        rows = await self._database.pool.fetch(_BY_KEYS, key_hashes)
        return {row["key_hash"]: User(UserId(row["id"]), row["priority"]) for row in rows}


async def password_hash_of(connection: Connection, username: str) -> str | None:
    password_hash: str | None = await connection.fetchval(
        "SELECT password_hash FROM gateway.users WHERE username = $1", username
    )
    return password_hash


async def upsert_user(
    connection: Connection, username: str, *, password_hash: str | None = None, priority: int | None = None
) -> UserId:
    """The user of that name, made if need be and active; a password or priority that is not given stays as it was."""
    row = (new_uuid(), username, password_hash, priority or 0, priority is not None)
    return UserId(await connection.fetchval(_UPSERT_USER, *row))


async def add_key(connection: Connection, user_id: UserId, key: ApiKey) -> None:
    await connection.execute(_ADD_KEY, new_uuid(), user_id, key.hash, key.prefix)


async def revoke_other_keys(connection: Connection, user_id: UserId, key: ApiKey) -> None:
    await connection.execute(_REVOKE_OTHERS, user_id, key.hash)


async def revoke_keys(connection: Connection, prefix: str) -> int:
    """How many keys with exactly this prefix were still valid and no longer are."""
    return len(await connection.fetch(_REVOKE, prefix))

"""`python -m gateway.users`: who may use the API.

python -m gateway.users add NAME [--priority N]   makes the user if need be, prints a new key, once
python -m gateway.users revoke PREFIX             ends the key whose printed prefix this is
"""

import argparse
import asyncio

from gateway.api_key import ApiKey, new_api_key
from gateway.store.users import add_key, revoke_keys, upsert_user
from service_kit.database import open_pool
from service_kit.environment import load_settings
from service_kit.settings import DatabaseSettings


async def add(settings: DatabaseSettings, username: str, priority: int | None) -> str:
    """A new key for the user, who is made if need be. Keys given out before stay valid."""
    key = new_api_key()
    pool = await open_pool(settings, service="gateway.users")
    try:
        async with pool.acquire() as connection, connection.transaction():
            user_id = await upsert_user(connection, username, priority=priority)
            await add_key(connection, user_id, ApiKey.of(key))
    finally:
        await pool.close()
    return key


async def revoke(settings: DatabaseSettings, prefix: str) -> int:
    """How many keys were ended: they stop working within seconds."""
    pool = await open_pool(settings, service="gateway.users")
    try:
        async with pool.acquire() as connection:
            return await revoke_keys(connection, prefix)
    finally:
        await pool.close()


def _priority(text: str) -> int:
    priority = int(text)
    if not -100 <= priority <= 100:
        raise ValueError
    return priority


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.users")
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="make a user and print a new API key")
    adding.add_argument("username")
    adding.add_argument("--priority", type=_priority, help="of the user's jobs, -100 to 100; higher runs first")
    revoking = commands.add_parser("revoke", help="end a key")
    revoking.add_argument("prefix", help="the first 12 characters of the key")
    arguments = parser.parse_args()
    settings = load_settings(DatabaseSettings, "gateway.users")
    if arguments.command == "add":
        print(asyncio.run(add(settings, arguments.username, arguments.priority)))
    elif asyncio.run(revoke(settings, ApiKey.of(arguments.prefix).prefix)) == 0:
        raise SystemExit(f"gateway: no valid key begins with {arguments.prefix!r}")


if __name__ == "__main__":
    main()

"""Finds the user behind an `x-api-key`, without asking the database for every request."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

from structlog.contextvars import bind_contextvars

from gateway.api_key import hash_of
from gateway.store.users import UserReader
from gateway.user import User
from service_kit.batcher import Batcher
from service_kit.problems import Problem

_T = TypeVar("_T")

_CAPACITY = 10_000
_LONGEST_KEY = 512


class Authenticate:
    """Remembers an answer for `cache_seconds`, so that is how long a revoked key goes on working; a refusal for a third of it.

    Refusals have a memory of their own: whoever tries random keys cannot push the valid ones out. Keys that must be looked up
    at the same moment are looked up together.
    """

    def __init__(self, users: UserReader, *, cache_seconds: float) -> None:
        self._users = users
        self._cache_seconds = cache_seconds
        self._known: OrderedDict[bytes, tuple[float, User]] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._lookups: Batcher[bytes, User | None] = Batcher(self._look_up, max_batch=500)

    async def __call__(self, key: str | None) -> User:
        """The user. Raises 401 for a missing, unknown or revoked key."""
        if not key:
            raise _unauthorized("Send your API key in the x-api-key header.")
        if len(key) > _LONGEST_KEY:
            raise _unauthorized("The API key is not known, or was revoked.")
        key_hash = hash_of(key)
        now = time.monotonic()
        known = self._known.get(key_hash)
        if known is not None and known[0] > now:
            return _identified(known[1])
        if self._refused.get(key_hash, 0.0) <= now:
            user = await self._lookups.submit(key_hash)
            if user is not None:
                return _identified(user)
        raise _unauthorized("The API key is not known, or was revoked.")

    async def _look_up(self, key_hashes: Sequence[bytes]) -> list[User | None]:
        asked_at = time.monotonic()  # before the query: what it did not see must not be believed longer
        users = await self._users.by_key_hashes(key_hashes)
        for key_hash in key_hashes:
            user = users.get(key_hash)
            if user is None:
                self._known.pop(key_hash, None)
                _remember(self._refused, key_hash, asked_at + self._cache_seconds / 3)
            else:
                _remember(self._known, key_hash, (asked_at + self._cache_seconds, user))
        return [users.get(key_hash) for key_hash in key_hashes]


def _identified(user: User) -> User:
    """Whatever the request logs from here on names them, by id."""
    bind_contextvars(user_id=str(user.id))
    return user


def _remember(memory: OrderedDict[bytes, _T], key_hash: bytes, answer: _T) -> None:
    memory[key_hash] = answer
    memory.move_to_end(key_hash)
    if len(memory) > _CAPACITY:
        memory.popitem(last=False)


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'ApiKey header="x-api-key"'})

"""API keys: 256 random bits, of which only the SHA-256 is stored.

A plain hash is enough for a secret that cannot be guessed (passwords need argon2id), and it can be looked up by an index. The
look-up needs no constant-time comparison: what is compared is the hash, whose bytes a guesser cannot steer.
"""

import hashlib
import secrets
from dataclasses import dataclass

_MARK = "p3d_"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is stored of a key."""

    hash: bytes
    prefix: str
    """For people to tell keys apart; too little to guess the rest."""

    @classmethod
    def of(cls, key: str) -> "ApiKey":
        return cls(hash_of(key), key[: len(_MARK) + 8] if key.startswith(_MARK) else key[:4])


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def new_api_key() -> str:
    """A new key, to be shown once."""
    return _MARK + secrets.token_urlsafe(32)

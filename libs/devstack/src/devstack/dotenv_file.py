"""The developer's own settings: `.env`, made from `.env.example` where there is none."""

import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from dotenv import dotenv_values

from devstack.errors import DevstackError
from devstack.services import Superuser

_log = logging.getLogger("devstack")

_GENERATED = ("FIRST_SUPERUSER_PASSWORD", "FIRST_SUPERUSER_API_KEY")
_SECRET_ENDINGS = ("_URL", "_KEY", "_TOKEN", "_PASSWORD", "_SECRET", "_DSN")
_NOT_FOR_SERVICES = ("MINIO_", "FIRST_SUPERUSER_", "DEVSTACK_")


def load_or_create(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The values of `.env` in `root`, over which the environment's own win; an empty value counts as none.

    Where there is no `.env`, it is made from `.env.example`, with a password and an API key nobody else has.
    """
    file = root / ".env"
    if not file.exists():
        _create(file, root / ".env.example")
    values = {name: value for name, value in dotenv_values(file, interpolate=False).items() if value}
    return values | {name: value for name, value in environment.items() if value}


_HOW_TO_REACH_THE_DATABASE = ("DATABASE_TRANSACTION_POOLER", "DATABASE_POOL_SIZE")


def superuser_of(values: Mapping[str, str]) -> Superuser:
    missing = [name for name in ("FIRST_SUPERUSER_USERNAME", *_GENERATED) if not values.get(name)]
    if missing:
        raise DevstackError(f"{', '.join(missing)} is not set: set it in .env, or delete .env to have a new one made")
    return Superuser(
        username=values["FIRST_SUPERUSER_USERNAME"],
        password=values["FIRST_SUPERUSER_PASSWORD"],
        api_key=values["FIRST_SUPERUSER_API_KEY"],
    )


def common_settings(root: Path, environment: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """What `.env` says beyond the stack's own business, for every service: intervals, limits, levels; no credentials.

    The environment wins in what `.env` names, and in how the database is reached.
    """
    said = dotenv_values(root / ".env", interpolate=False)
    said |= {name: environment[name] for name in (*said, *_HOW_TO_REACH_THE_DATABASE) if name in environment}
    return {
        name: value
        for name, value in said.items()
        if value and not name.endswith(_SECRET_ENDINGS) and not name.startswith(_NOT_FOR_SERVICES) and name != "PORT"
    }


def _create(file: Path, example: Path) -> None:
    lines = []
    for line in example.read_text().splitlines():
        name = line.partition("=")[0]
        lines.append(f"{name}={secrets.token_urlsafe(32)}" if name in _GENERATED else line)
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")
    _log.info("made %s from %s, with a password and an API key of its own", file.name, example.name)

"""`python -m devstack dlq`: the dead letters of the stack that `make up` runs, or of the broker RABBITMQ_URL names."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from dotenv import dotenv_values

from contracts.permissions import BusUser
from devstack.broker_users import url_as
from devstack.errors import DevstackError
from devstack.leftovers import noted_in

_READ = ("RABBITMQ_URL", "WORKER_MODELS")
"""What the command reads."""


def dlq(root: Path, arguments: Sequence[str]) -> NoReturn:
    """Becomes `python -m service_kit.dead_letters` with these arguments. Raises `DevstackError` if no broker is known."""
    command = (sys.executable, "-m", "service_kit.dead_letters", *arguments)
    environment = {**os.environ, **broker_settings(root, os.environ)}
    os.execve(command[0], command, environment)  # noqa: S606  # no shell is wanted


def broker_settings(root: Path, environment: Mapping[str, str], user: BusUser = BusUser.OPERATOR) -> dict[str, str]:
    """The environment's own, else what the services of `make up` were told when they started, else those of `.env`."""
    up = root / ".state" / "up"
    sources: tuple[Mapping[str, str | None], ...] = (
        environment,
        _as(user, _told_to_services(up / "services" / "processes"), up / "secrets" / "rabbitmq"),
        dotenv_values(root / ".env", interpolate=False),
    )
    for source in sources:
        if source.get("RABBITMQ_URL"):
            return {name: value for name in _READ if (value := source.get(name))}
    raise DevstackError("no broker is known: start the stack with `make up`, or name a running one in RABBITMQ_URL")


def _as(user: BusUser, told: dict[str, str], admin_password: Path) -> dict[str, str]:
    """A service may not do what others are for. Where each has a user of its own, so have they."""
    url = told.get("RABBITMQ_URL", "")
    if urlsplit(url).username not in {user.username for user in BusUser} or not admin_password.is_file():
        return told
    place = urlsplit(url).netloc.rpartition("@")[2]
    admin = urlsplit(url)._replace(netloc=f"administrator:{admin_password.read_text()}@{place}").geturl()
    return told | {"RABBITMQ_URL": url_as(admin, user)}


def _told_to_services(processes: Path) -> dict[str, str]:
    """From the kernel's own record, so that the broker's password is written nowhere for this. Empty if none of them runs."""
    told: dict[str, str] = {}
    for file in sorted(processes.glob("*.json")):
        noted = noted_in(file)
        if noted is not None and noted.alive:
            with suppress(OSError):
                entries = os.fsdecode(Path(f"/proc/{noted.pid}/environ").read_bytes()).split("\0")
                told |= dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return told

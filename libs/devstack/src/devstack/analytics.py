"""`python -m devstack analytics`: the example subscriber, on the stack that `make up` runs or the broker RABBITMQ_URL names."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from contracts.permissions import BusUser
from devstack.dlq import broker_settings

_DIRECTORY = Path("out") / "analytics"


def analytics(root: Path, arguments: Sequence[str]) -> NoReturn:
    """Becomes `python -m analytics` with these arguments, `query` if there are none. Raises `DevstackError` if it is to follow
    the stream and no broker is known; to ask files needs none."""
    chosen = list(arguments) or ["query"]
    environment = {"ANALYTICS_DIR": str(root / _DIRECTORY), **os.environ}
    if chosen[0] == "follow":
        environment |= broker_settings(root, os.environ, BusUser.ANALYTICS)
    os.execve(sys.executable, (sys.executable, "-m", "analytics", *chosen), environment)  # noqa: S606  # no shell is wanted

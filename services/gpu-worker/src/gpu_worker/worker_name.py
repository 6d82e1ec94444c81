"""How a worker process is called on the bus."""

import os
import re
import secrets
import socket

from contracts.ids import WorkerId


def new_worker_id() -> WorkerId:
    """``<host>-<pid>-<random>``: readable for people, and new with every process, so that a restarted worker is another one."""
    return WorkerId(f"{as_routing_key_word(socket.gethostname())}-{os.getpid()}-{secrets.token_hex(3)}")


def as_routing_key_word(name: str) -> str:
    """The name as one word of a topic's routing key: no dot, no wildcard; never empty, at most 60 characters."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:60].strip("-") or "host"

"""Processes whose clock is wrong by a minute, by libfaketime (Debian's package `faketime`).

Only the clock on the wall is wrong: the monotonic one, by which a process measures how long it waits, stays right, as on a real
machine whose NTP has failed.
"""

from collections.abc import Mapping
from pathlib import Path

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

SKEW_SECONDS: Mapping[str, int] = {"gateway-2": -60, "orchestrator-2": 60, "gpu_worker-2": 60}
"""The others, and PostgreSQL, are right. So is the artifacts service: what it signs with a wrong clock no store would accept."""


def can_skew() -> bool:
    return bool(_LIBRARIES)


def skewed_environment() -> dict[str, dict[str, str]]:
    """What the environment of each process with a wrong clock needs; nothing where the library is not installed."""
    if not _LIBRARIES:
        return {}
    return {
        name: {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME": f"{seconds:+d}s",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        for name, seconds in SKEW_SECONDS.items()
    }

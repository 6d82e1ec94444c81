"""How long the system takes to serve again: one probe when a fault begins, one when it is healed."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from clients import Clients
from fault_schedule import FaultKind, PlannedFault
from orders import probe

_LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Recovery:
    fault: PlannedFault
    began_seconds: float
    """Since the start of the run; when the fault struck and not when it was to strike."""
    lasted_seconds: float
    """Until it was healed: what was broken runs again, whether or not it serves."""
    since_begin_seconds: float | None = None
    """From the strike until a job ordered at that moment had succeeded; None: it did not."""
    since_healed_seconds: float | None = None


async def seconds_until_served(clients: Clients, name: str) -> float | None:
    """From now until a job that takes no time, ordered now, has succeeded; None if it ended otherwise."""
    began = time.monotonic()
    job_id = await clients.order(probe(name))
    while job_id not in clients.over:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        await clients.look(job_id)
    return time.monotonic() - began if clients.over[job_id].status == "SUCCEEDED" else None


def by_kind(recoveries: list[Recovery]) -> dict[FaultKind, dict[str, float | int | None]]:
    """For each kind: how often, and p50 and max of both times in seconds."""
    grouped: dict[FaultKind, list[Recovery]] = defaultdict(list)
    for recovery in recoveries:
        grouped[recovery.fault.kind].append(recovery)
    return {
        kind: {
            "count": len(of_kind),
            **_spread("since_begin", [one.since_begin_seconds for one in of_kind]),
            **_spread("since_healed", [one.since_healed_seconds for one in of_kind]),
        }
        for kind, of_kind in sorted(grouped.items())
    }


def _spread(name: str, seconds: list[float | None]) -> dict[str, float | int | None]:
    known = [value for value in seconds if value is not None]
    return {
        f"{name}_p50_seconds": round(median(known), 2) if known else None,
        f"{name}_max_seconds": round(max(known), 2) if known else None,
    }

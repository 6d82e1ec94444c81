"""CPU time of the processes of a stack, by what they are."""

import os
from collections import Counter
from pathlib import Path

from devstack.stack import Stack

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_SERVERS = {"postgres": "PostgreSQL", "beam.smp": "RabbitMQ", "weed": "SeaweedFS"}


def cpu_seconds(stack: Stack) -> Counter[str]:
    """Seconds spent so far, user and system, by each service with its children and by the servers started for this run.

    A server that ran before, or runs in a container, is nobody's child here and not counted.
    """
    parents, names, spent = _processes()
    services = {pid: name for name in stack.names() if (pid := stack.pid(name)) is not None}
    seconds: Counter[str] = Counter()
    for pid, time in spent.items():
        line = _line(pid, parents)
        if os.getpid() not in line:
            continue  # not of this stack
        service = next((services[ancestor] for ancestor in line if ancestor in services), None)
        if service is not None:
            seconds[service if pid in services else f"{service} engines"] += time
        elif names[pid] in _SERVERS:
            seconds[_SERVERS[names[pid]]] += time
    seconds["load generator"] = sum(os.times()[:2])
    return seconds


def _processes() -> tuple[dict[int, int], dict[int, str], dict[int, float]]:
    parents, names, spent = {}, {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = stat.read_text().rpartition(")")
        except OSError:
            continue  # it ended while we looked
        pid, fields = int(head.split(" ", 1)[0]), tail.split()
        names[pid] = head.split("(", 1)[1]
        parents[pid] = int(fields[1])
        spent[pid] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    return parents, names, spent


def _line(pid: int, parents: dict[int, int]) -> list[int]:
    line = [pid]
    while (parent := parents.get(line[-1], 0)) > 1:
        line.append(parent)
    return line

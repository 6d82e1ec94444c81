"""Which faults happen when: a pure function of the seed and the length of the run.

The same seed gives the same schedule, so that a run which found something can be had again. What the faults meet when they strike
(which message was on its way) depends on the machine; it is the schedule, not the interleaving, that is repeated.

Sources: FoundationDB's simulation (Zhou et al., SIGMOD 2021: one seed names a whole run of faults), Netflix's principles of
chaos engineering (steady state, real faults, small blast radius), Jepsen's nemesis (Kingsbury: partitions, pauses, clock skew).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    KILL = "kill -9 of a process"
    RESTART = "SIGTERM and start of a process"
    PAUSE = "SIGSTOP of a process"
    LONG_PAUSE = "SIGSTOP of a process, longer than a lease"
    KILL_RABBITMQ = "kill -9 of RabbitMQ"
    PAUSE_RABBITMQ = "SIGSTOP of RabbitMQ"
    RESET_RABBITMQ = "reset of RabbitMQ to empty"
    KILL_POSTGRES = "kill -9 of PostgreSQL"
    RESTART_POSTGRES = "fast restart of PostgreSQL"
    PAUSE_POSTGRES = "SIGSTOP of PostgreSQL"
    STOP_S3 = "outage of the S3 store"
    CUT = "connections cut"
    FREEZE = "connections frozen"
    DELAY = "connections delayed"


@dataclass(frozen=True, slots=True)
class Way:
    """The connections of a process, or of all processes of a service, to a server."""

    source: str
    server: str

    def __str__(self) -> str:
        return f"{self.source} → {self.server}"


@dataclass(frozen=True, slots=True)
class PlannedFault:
    at_seconds: float
    kind: FaultKind
    target: str | Way
    duration_seconds: float
    """0 for what lasts as long as it takes to come back."""

    def __str__(self) -> str:
        lasting = f" for {self.duration_seconds:.1f} s" if self.duration_seconds else ""
        return f"{self.kind}: {self.target}{lasting}"


@dataclass(frozen=True, slots=True)
class Targets:
    """What there is to break. The services' processes by their names, such as ``gateway-1``."""

    processes: Sequence[str]
    ways: Sequence[Way]


_DURATION_SECONDS: dict[FaultKind, tuple[float, float]] = {
    FaultKind.PAUSE: (1.5, 4.0),
    FaultKind.LONG_PAUSE: (8.0, 11.0),
    FaultKind.PAUSE_RABBITMQ: (3.0, 8.0),
    FaultKind.PAUSE_POSTGRES: (3.0, 8.0),
    FaultKind.STOP_S3: (10.0, 15.0),
    FaultKind.CUT: (2.0, 6.0),
    FaultKind.FREEZE: (3.0, 9.0),
    FaultKind.DELAY: (4.0, 8.0),
}
_RETURN_SECONDS: dict[FaultKind, float] = {
    FaultKind.KILL: 5.0,
    FaultKind.RESTART: 8.0,
    FaultKind.KILL_RABBITMQ: 10.0,
    FaultKind.RESET_RABBITMQ: 12.0,
    FaultKind.KILL_POSTGRES: 3.0,
    FaultKind.RESTART_POSTGRES: 3.0,
    FaultKind.STOP_S3: 2.0,
}
"""About what it takes to come back, beyond the duration."""
_CALM_SECONDS = 4.0
"""For which a thing that came back is left alone: a server that is never there for longer proves nothing."""
_OF_SERVER = {
    FaultKind.KILL_RABBITMQ: "rabbitmq",
    FaultKind.PAUSE_RABBITMQ: "rabbitmq",
    FaultKind.RESET_RABBITMQ: "rabbitmq",
    FaultKind.KILL_POSTGRES: "postgres",
    FaultKind.RESTART_POSTGRES: "postgres",
    FaultKind.PAUSE_POSTGRES: "postgres",
    FaultKind.STOP_S3: "s3",
}
_WEIGHT = {FaultKind.KILL: 4, FaultKind.CUT: 2, FaultKind.FREEZE: 2, FaultKind.LONG_PAUSE: 2}
_WAYS = {FaultKind.CUT, FaultKind.FREEZE, FaultKind.DELAY}
_LONGEST_PAUSE_SECONDS = 7.0
_SHORTEST_PAUSE_SECONDS = 3.0
_QUIET_SECONDS = 6.0
"""At the start, for a steady state to be disturbed."""


def schedule(seed: int, minutes: float, targets: Targets) -> tuple[PlannedFault, ...]:
    """The faults of a run in the order of time.

    Every kind comes early, and every service has its turn. They overlap now and then, but nothing happens twice to the same
    thing at once.
    """
    draw = random.Random(seed)
    planned: list[PlannedFault] = []
    busy_until: dict[str, float] = {}
    at = _QUIET_SECONDS
    processes = _processes(draw, targets.processes)
    for kind in _kinds(draw):
        target = _OF_SERVER.get(kind) or (draw.choice(targets.ways) if kind in _WAYS else next(processes))
        duration = round(draw.uniform(*_DURATION_SECONDS.get(kind, (0.0, 0.0))), 1)
        touched = _touched(target, targets)
        begin = round(max([at, *(busy_until.get(thing, 0.0) for thing in touched)]), 1)
        at += draw.uniform(_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        if at > minutes * 60:
            return tuple(sorted(planned, key=lambda fault: fault.at_seconds))
        if begin + duration > minutes * 60:
            continue
        planned.append(PlannedFault(begin, kind, target, duration))
        busy_until |= dict.fromkeys(touched, begin + duration + _RETURN_SECONDS.get(kind, 0.0) + _CALM_SECONDS)
    raise AssertionError("the kinds never end")


def _kinds(draw: random.Random) -> Iterator[FaultKind]:
    first = [*FaultKind, FaultKind.KILL, FaultKind.KILL, FaultKind.LONG_PAUSE]
    draw.shuffle(first)
    yield from first
    kinds = list(FaultKind)
    weights = [_WEIGHT.get(kind, 1) for kind in kinds]
    while True:
        yield draw.choices(kinds, weights)[0]


def _processes(draw: random.Random, processes: Sequence[str]) -> Iterator[str]:
    """One of each service in turn, so that a short run strikes them all."""
    of_service: dict[str, list[str]] = {}
    for name in processes:
        of_service.setdefault(name.partition("-")[0], []).append(name)
    services = list(of_service)
    draw.shuffle(services)
    while True:
        for service in services:
            yield draw.choice(of_service[service])


def _touched(target: str | Way, targets: Targets) -> set[str]:
    """The process, processes or server that further faults must leave alone meanwhile."""
    if not isinstance(target, Way):
        return {target}
    return {name for name in targets.processes if name == target.source or name.startswith(f"{target.source}-")}

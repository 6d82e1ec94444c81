"""The kept questions of examples/analytics, answered in Python from nothing but what `GET /jobs/{id}/events` says."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

Log = Sequence[dict[str, Any]]
"""Of one job, in order."""
Answer = list[dict[str, Any]]

_ENDS = {"job.succeeded", "job.failed", "job.cancelled", "job.retry_scheduled"}
_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class Attempt(NamedTuple):
    worker: str
    ended_by: str
    code: str
    seconds: float


def waiting_and_running(models: dict[str, str], logs: dict[str, Log]) -> Answer:
    """`models` by job."""
    waits, runs, jobs = defaultdict(list), defaultdict(list), Counter[tuple[datetime, str]]()
    for job_id, log in logs.items():
        queued = _at(log[0])
        group = queued.replace(minute=0, second=0, microsecond=0), models[job_id]
        jobs[group] += 1
        waits[group] += [(_at(event) - queued).total_seconds() for event in log if event["type"] == "job.started"][:1]
        runs[group] += [attempt.seconds for attempt in _attempts(log) if attempt.ended_by == "job.succeeded"]
    return [
        {"hour": hour, "model": model, "jobs": jobs[hour, model]}
        | {f"wait_{name}": _quantile(waits[hour, model], share) for name, share in _SHARES.items()}
        | {f"run_{name}": _quantile(runs[hour, model], share) for name, share in _SHARES.items()}
        for hour, model in sorted(jobs)
    ]


def lost_gpu_time(logs: dict[str, Log]) -> Answer:
    attempts: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for job_id, log in logs.items():
        for attempt in _attempts(log):
            if attempt.ended_by != "job.succeeded":
                attempts[attempt.code, attempt.worker].append((job_id, attempt.seconds))
    return [
        {
            "code": code,
            "worker": worker,
            "attempts": len(lost),
            "jobs": len({job_id for job_id, _ in lost}),
            "lost_seconds": sum(seconds for _, seconds in lost),
        }
        for (code, worker), lost in attempts.items()
    ]


def throughput(user_id: str, logs: dict[str, Log]) -> Answer:
    """All jobs are one user's."""
    by_day: dict[Any, list[Log]] = defaultdict(list)
    for log in logs.values():
        by_day[_at(log[-1]).date()].append(log)
    return [_of_day(day, user_id, by_day[day]) for day in sorted(by_day)]


def _of_day(day: object, user_id: str, logs: Sequence[Log]) -> dict[str, Any]:
    ends = Counter(log[-1]["type"].removeprefix("job.") for log in logs)
    judged = ends["succeeded"] + ends["failed"]
    counts = {outcome: ends[outcome] for outcome in ("succeeded", "failed", "cancelled")}
    rate = ends["succeeded"] / judged if judged else None
    retries = sum(event["type"] == "job.retry_scheduled" for log in logs for event in log)
    return {"day": day, "user_id": user_id, "jobs": len(logs), **counts, "success_rate": rate, "retries": retries}


def _attempts(log: Log) -> Iterator[Attempt]:
    for number, event in enumerate(log):
        if event["type"] == "job.started":
            end = next(later for later in log[number:] if later["type"] in _ENDS)
            seconds = (_at(end) - _at(event)).total_seconds()
            yield Attempt(event["payload"]["worker_id"], end["type"], _code(end), seconds)


def _code(end: dict[str, Any]) -> str:
    match end["type"]:
        case "job.retry_scheduled":
            return str(end["payload"]["failure"]["code"])
        case "job.failed":
            return str(end["payload"]["error"]["code"])
        case kind:
            return str(kind).removeprefix("job.")


def _at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["at"])


def _quantile(values: Sequence[float], share: float) -> float | None:
    """Between the two nearest values, linearly: the continuous quantile of SQL (PERCENTILE_CONT)."""
    if not values:
        return None
    ordered, place = sorted(values), (len(values) - 1) * share
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

"""Phrases of PromQL that several panels say."""

from collections.abc import Sequence

from boards.panel import Query

RATE = "[$__rate_interval]"


def same_everywhere(metric: str, *, by: str = "", where: str = "") -> str:
    """A gauge read from the database: every replica of the orchestrator tells the same, and one of them may lag behind."""
    return f"max by ({by}) ({metric}{_braces(where)})" if by else f"max({metric}{_braces(where)})"


def per_second(counter: str, *, by: str = "", where: str = "") -> str:
    """Of all processes together."""
    return f"sum{_by(by)}(rate({counter}{_braces(where)}{RATE}))"


def per_minute(counter: str, *, by: str = "", where: str = "") -> str:
    return f"{per_second(counter, by=by, where=where)} * 60"


def mean(histogram: str, *, by: str = "", where: str = "") -> str:
    """The mean observation."""
    total, number = (per_second(f"{histogram}_{part}", by=by, where=where) for part in ("sum", "count"))
    return f"{total} / {number}"


def quantiles(
    histogram: str, wanted: Sequence[float], *, by: str = "", where: str = "", legend: str = ""
) -> list[Query]:
    """A query for each: ``p95``, after the legend."""
    labels = f"{by}, le" if by else "le"
    observed = per_second(f"{histogram}_bucket", by=labels, where=where)
    return [Query(f"histogram_quantile({share}, {observed})", f"{legend} p{share * 100:g}".strip()) for share in wanted]


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""


def _braces(where: str) -> str:
    return f"{{{where}}}" if where else ""

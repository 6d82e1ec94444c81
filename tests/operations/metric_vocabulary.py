"""What dashboards and alerts may speak of: the metrics of specs/metrics.md, and what the rules record."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]

_ROW = re.compile(r"^\| `(?P<name>p3d_\w+)`(?P<census>\*?) \| (?P<kind>\w+)[^|]* \| (?P<labels>[^|]*) \|", re.MULTILINE)
_NAME = re.compile(r"\b(?:p3d_\w+|\w+:\w+:\w+)")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MADE_BY_REPLACING = re.compile(r"\"(\w+)\", \"[^\"]*\", \"\w*\", \"")
_OF_EVERY_TARGET = {"job", "instance"}
_OF_ALERTS = {"alertname", "alertstate", "severity"}

Rule = dict[str, Any]


@dataclass(frozen=True)
class Vocabulary:
    """Every series by name, with the labels it has beside those of its target."""

    labels: dict[str, set[str]]
    census: frozenset[str]
    """Gauges that tell the same in every replica."""

    def names(self, expression: str) -> set[str]:
        """The metrics and recorded series that the PromQL reads."""
        return set(_NAME.findall(expression))

    def labels_of(self, expression: str) -> set[str]:
        """All labels that the PromQL may speak of."""
        known = set().union(*(self.labels.get(name, set()) for name in self.names(expression)))
        if "ALERTS" in expression:
            known |= _OF_ALERTS | set().union(*self.labels.values())
        return known | _OF_EVERY_TARGET | set(_MADE_BY_REPLACING.findall(expression))

    def complaints(self, expression: str) -> list[str]:
        """What the PromQL speaks of and is not there."""
        spoken_of = set(_MATCHER.findall(expression)) | _grouped(expression)
        return sorted(self.names(expression) - self.labels.keys()) + sorted(spoken_of - self.labels_of(expression))


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule that Prometheus loads."""
    files = sorted((REPOSITORY / "deploy" / "prometheus" / "rules").glob("*.yml"))
    return tuple(
        rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]
    )


@cache
def vocabulary() -> Vocabulary:
    labels: dict[str, set[str]] = {}
    census = set()
    for row in _ROW.finditer((REPOSITORY / "specs" / "metrics.md").read_text()):
        name, own = row["name"], set(re.findall(r"`(\w+)`", row["labels"]))
        if row["kind"] == "histogram":
            labels |= {f"{name}_bucket": own | {"le"}, f"{name}_sum": own, f"{name}_count": own}
        else:
            labels[name] = own
        if row["census"]:
            census.add(name)
    assert len(labels) > 50
    assert len(census) > 5, "specs/metrics.md is not written as it is read here"
    return Vocabulary(
        labels | {rule["record"]: _grouped(rule["expr"]) for rule in rules() if "record" in rule}, frozenset(census)
    )


def _grouped(expression: str) -> set[str]:
    return {label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")} - {""}

"""What a panel shows, and the JSON Grafana reads it from (dashboard schema 39, Grafana 11 and later)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


class Unit(StrEnum):
    """Grafana's identifiers; https://grafana.com/docs/grafana/latest/panels-visualizations/configure-standard-options/"""

    COUNT = "short"
    SECONDS = "s"
    RATIO = "percentunit"
    PER_SECOND = "cps"
    PER_MINUTE = "cpm"
    REQUESTS_PER_SECOND = "reqps"
    BYTES = "bytes"
    NONE = "none"


class Colour(StrEnum):
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Query:
    expression: str
    legend: str = ""
    """With labels in braces: ``{{model}}``."""
    at_once: bool = False
    """One value now, not a line over time."""
    as_heatmap: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """`says` is what a reader sees behind the title's "i": what it means, and what to do when it looks wrong."""

    title: str
    says: str
    queries: Sequence[Query]
    unit: Unit = Unit.COUNT
    width: int = 8
    height: int = 8
    steps: Mapping[float, Colour] = field(default_factory=dict)
    """From which value on which colour; below the first one green, or blue if there are none."""

    kind: ClassVar[str]
    """Grafana's name of this kind of panel."""

    def as_json(self, number: int, left: int, top: int) -> Json:
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.says,
            "gridPos": {"x": left, "y": top, "w": self.width, "h": self.height},
            "datasource": DATASOURCE,
            "targets": [self._target(index, query) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults() | {"unit": self.unit}, "overrides": []},
            "options": self._options(),
        } | self._extras()

    def _target(self, index: int, query: Query) -> Json:
        return {
            "refId": chr(ord("A") + index),
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            "range": not query.at_once,
            "instant": query.at_once,
            "format": "heatmap" if query.as_heatmap else "table" if self.kind == "table" else "time_series",
            "editorMode": "code",
        }

    def _thresholds(self) -> Json:
        lowest = Colour.GREEN if self.steps else Colour.BLUE
        steps = [{"color": lowest, "value": None}]
        return {"mode": "absolute", "steps": steps + [{"color": c, "value": v} for v, c in self.steps.items()]}

    def _defaults(self) -> Json:
        return {"thresholds": self._thresholds()}

    def _options(self) -> Json:
        return {}

    def _extras(self) -> Json:
        return {}


@dataclass(frozen=True, kw_only=True)
class Number(Panel):
    """One value now, coloured by its thresholds, over a small line of how it came to be."""

    width: int = 3
    height: int = 4
    no_value: str = "–"
    decimals: int | None = None

    kind = "stat"

    def _defaults(self) -> Json:
        decimals = {} if self.decimals is None else {"decimals": self.decimals}
        return super()._defaults() | {"color": {"mode": "thresholds"}, "noValue": self.no_value} | decimals

    def _options(self) -> Json:
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "textMode": "auto",
        }


@dataclass(frozen=True, kw_only=True)
class Graph(Panel):
    """Lines over time; `stacked` where their sum means something, `bars` where each moment stands for itself."""

    stacked: bool = False
    bars: bool = False
    highest: float | None = None
    logarithmic: bool = False

    kind = "timeseries"

    def _defaults(self) -> Json:
        custom = {
            "drawStyle": "bars" if self.bars else "line",
            "lineWidth": 1,
            "fillOpacity": 60 if self.bars else 25 if self.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if self.steps else "off"},
            "scaleDistribution": {"type": "log", "log": 10} if self.logarithmic else {"type": "linear"},
        }
        highest = {} if self.highest is None else {"max": self.highest}
        lowest = {} if self.logarithmic else {"min": 0}
        return super()._defaults() | {"color": {"mode": "palette-classic"}, "custom": custom} | lowest | highest

    def _options(self) -> Json:
        return {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["max", "lastNotNull"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }


@dataclass(frozen=True, kw_only=True)
class Heatmap(Panel):
    """How a histogram's observations spread over its buckets."""

    kind = "heatmap"

    def _options(self) -> Json:
        return {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
            "yAxis": {"axisPlacement": "left", "unit": self.unit},
            "rowsFrame": {"layout": "auto"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "tooltip": {"mode": "single", "yHistogram": True},
        }


@dataclass(frozen=True, kw_only=True)
class Table(Panel):
    """The labels of what is there now, a row each, largest value first."""

    columns: Mapping[str, str]
    """The labels to show, in this order, and what to call them."""
    value: str = "count"
    """What to call the value; empty: the labels say it all."""

    kind = "table"

    def _options(self) -> Json:
        by_value = [{"displayName": self.value, "desc": True}] if self.value else []
        return {"showHeader": True, "cellHeight": "sm", "sortBy": by_value}

    def _extras(self) -> Json:
        shown = [*self.columns, "Value"] if self.value else list(self.columns)
        renamed = dict(self.columns) | ({"Value": self.value} if self.value else {})
        organize = {
            "includeByName": dict.fromkeys(shown, True),
            "indexByName": {name: index for index, name in enumerate(shown)},
            "renameByName": renamed,
        }
        return {"transformations": [{"id": "organize", "options": organize}]}

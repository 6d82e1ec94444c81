"""A dashboard: rows of panels, laid out from left to right, and the JSON Grafana provisions it from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from boards.panel import DATASOURCE, Json, Panel

_COLUMNS = 24
_TAG = "pipeline3d"


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    uid: str
    """Stable: links and bookmarks contain it. Also the name of its file."""
    title: str
    says: str
    rows: Sequence[Row]
    per_model: bool = False
    """Whether it has the variable `$model`: one model, or several, or all."""

    def as_json(self) -> Json:
        return {
            "uid": self.uid,
            "title": f"Pipeline 3D / {self.title}",
            "description": self.says,
            "tags": [_TAG],
            "schemaVersion": 39,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "",
            "links": [_TO_THE_OTHERS],
            "annotations": {"list": [_ALERTS, _BROKER_RESETS]},
            "templating": {"list": [_WHICH_PROMETHEUS, *([_WHICH_MODEL] if self.per_model else [])]},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Json]:
        numbers = count(1)
        top = 0
        for row in self.rows:
            place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
            yield {
                "id": next(numbers),
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
            top += 1
            left = line_height = 0
            for panel in row.panels:
                if left + panel.width > _COLUMNS:
                    left, top, line_height = 0, top + line_height, 0
                yield panel.as_json(next(numbers), left, top)
                left += panel.width
                line_height = max(line_height, panel.height)
            top += line_height


_TO_THE_OTHERS: Json = {
    "type": "dashboards",
    "title": "Pipeline 3D",
    "tags": [_TAG],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
}


def _annotation(name: str, expression: str, title: str, colour: str) -> Json:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "expr": expression,
        "titleFormat": title,
        "iconColor": colour,
        "step": "30s",
    }


_ALERTS = _annotation("Alerts", 'ALERTS{alertstate="firing"}', "{{alertname}} {{model}}{{queue}}{{job}}", "red")
_BROKER_RESETS = _annotation(
    "Broker resets", "sum(increase(p3d_broker_resets_total[1m])) > 0", "The broker had lost what it held", "purple"
)

_WHICH_PROMETHEUS: Json = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
    "current": {"text": "Prometheus", "value": "prometheus"},
    "hide": 0,
}

_WHICH_MODEL: Json = {
    "name": "model",
    "label": "Model",
    "type": "query",
    "datasource": DATASOURCE,
    "definition": "label_values(p3d_jobs, model)",
    "query": {"query": "label_values(p3d_jobs, model)", "refId": "model"},
    "refresh": 2,
    "sort": 1,
    "multi": True,
    "includeAll": True,
    "allValue": ".+",
    "current": {"text": "All", "value": "$__all"},
}

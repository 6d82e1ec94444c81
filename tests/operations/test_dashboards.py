"""The dashboards, as Grafana gets them. That their queries show something is tested in journeys/test_prometheus.py."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
from metric_vocabulary import REPOSITORY, vocabulary

FILES = sorted((REPOSITORY / "deploy" / "grafana" / "dashboards").glob("*.json"))

Json = dict[str, Any]


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def dashboard(request: pytest.FixtureRequest) -> Json:
    loaded: Json = json.loads(request.param.read_text())
    return loaded


def test_there_is_one_for_everything_a_person_asks() -> None:
    assert [file.stem for file in FILES] == ["p3d-messaging", "p3d-model", "p3d-overview", "p3d-workers"]


def test_its_queries_use_metrics_and_labels_that_exist(dashboard: Json) -> None:
    for panel in _panels(dashboard):
        for target in panel["targets"]:
            assert vocabulary().complaints(target["expr"]) == [], panel["title"]
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert named <= vocabulary().labels_of(target["expr"]), panel["title"]


def test_it_never_adds_up_what_every_replica_says(dashboard: Json) -> None:
    for panel in _panels(dashboard):
        for target in panel["targets"]:
            for name in vocabulary().names(target["expr"]) & vocabulary().census:
                everywhere = len(re.findall(rf"\b{name}\b", target["expr"]))
                guarded = len(re.findall(rf"\b(?:max|min)(?: by \([\w, ]+\) )?\({name}\b", target["expr"]))
                assert guarded == everywhere, f"{panel['title']}: {target['expr']}"


def test_every_panel_says_what_it_means_and_in_which_unit(dashboard: Json) -> None:
    for panel in _panels(dashboard):
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert len(panel["targets"]) == 1 or all(t["legendFormat"] != "__auto" for t in panel["targets"]), panel[
            "title"
        ]


def test_its_panels_have_ids_of_their_own_and_room_of_their_own(dashboard: Json) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in _panels(dashboard)}) == len(_panels(dashboard))
    for first, second in combinations(panels, 2):
        assert not _overlap(first["gridPos"], second["gridPos"]), (first["title"], second["title"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_it_asks_the_prometheus_that_is_provisioned(dashboard: Json) -> None:
    provisioned = (REPOSITORY / "deploy" / "grafana" / "provisioning" / "datasources" / "pipeline3d.yaml").read_text()
    (variable,) = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    assert f"uid: {variable['current']['value']}" in provisioned
    sources = {json.dumps(target["datasource"]) for panel in _panels(dashboard) for target in panel["targets"]}
    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}


def _panels(dashboard: Json) -> list[Json]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def _overlap(first: Json, second: Json) -> bool:
    return (
        first["x"] < second["x"] + second["w"]
        and second["x"] < first["x"] + first["w"]
        and first["y"] < second["y"] + second["h"]
        and second["y"] < first["y"] + first["h"]
    )

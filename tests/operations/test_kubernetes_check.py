"""`check.py` refuses what a cluster would refuse."""

import copy
from pathlib import Path
from typing import Any

import check
import prometheus_rule
import pytest
import yaml
from cluster import Manifest, named
from custom_resources import definitions, used_fields


def _complaints(manifest: Manifest) -> list[str]:
    return list(check.check(manifest, used_fields()))


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "gateway", ("spec", "template", "spec", "terminationGraceSeconds"), 45),
        ("Deployment", "gateway", ("spec", "template", "spec", "containers", 0, "readOnlyRootFilesystem"), True),
        ("NetworkPolicy", "gateway", ("spec", "policyTypes"), ["ingress", {}]),
        ("ScaledObject", "gpu-worker-silhouette-v1", ("spec", "coolDownPeriod"), 300),
        ("ScaledObject", "gpu-worker-silhouette-v1", ("spec", "triggers", 0, "metadata", "threshold"), 1),
        ("Cluster", "postgresql", ("spec", "postgresql", "synchronous", "number"), "1"),
        ("RabbitmqCluster", "rabbitmq", ("spec", "rabbitmq", "config"), ""),
        ("HTTPRoute", "gateway", ("metadata", "namespace"), "elsewhere"),
    ],
)
def test_a_field_that_is_unknown_or_of_another_type_is_refused(
    kind: str, name: str, path: tuple[Any, ...], value: Any
) -> None:
    manifest = copy.deepcopy(named("production", kind, name))
    assert _complaints(manifest) == []
    place: Any = manifest
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert any(f"{kind}/{name}" in complaint for complaint in _complaints(manifest))


def test_a_kind_without_a_schema_is_refused() -> None:
    manifest = {"apiVersion": "example.org/v1", "kind": "Wish", "metadata": {"name": "mine"}, "spec": {}}

    assert _complaints(manifest) == ["Wish/mine: no schema of example.org/v1 Wish is known"]


def test_the_definitions_of_a_cluster_go_before_ours_and_are_as_strict(tmp_path: Path) -> None:
    fields = {"size": {"x-kubernetes-int-or-string": True}, "free": {"x-kubernetes-preserve-unknown-fields": True}}
    schema = {"openAPIV3Schema": {"properties": {"spec": {"type": "object", "properties": fields}}}}
    definition = {
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "example.org",
            "names": {"kind": "Wish"},
            "versions": [{"name": "v1", "served": True, "schema": schema}],
        },
    }
    (tmp_path / "wish.yaml").write_text(yaml.safe_dump(definition))
    wish = {"apiVersion": "example.org/v1", "kind": "Wish", "metadata": {"name": "mine", "namespace": "pipeline3d"}}

    def complaints(spec: Manifest) -> list[str]:
        return list(check.check(wish | {"spec": spec}, definitions(tmp_path)))

    assert complaints({"size": "10Gi", "free": {"any": "thing"}}) == complaints({"size": 3}) == []
    assert len(complaints({"size": 3, "colour": "red"})) == 1
    assert len(complaints({"size": []})) == 1


def test_every_group_of_rules_reaches_prometheus_operator() -> None:
    written = yaml.safe_load_all(prometheus_rule.text())
    files = [yaml.safe_load(path.read_text()) for path in sorted(prometheus_rule.RULES.glob("*.yml"))]

    assert [rule["spec"] for rule in written] == files
    assert files

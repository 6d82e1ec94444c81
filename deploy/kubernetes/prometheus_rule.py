"""Writes components/monitoring/prometheus-rules.yaml: the rules of deploy/prometheus/rules as Prometheus' operator wants them.

One PrometheusRule per file, with its groups as they are. `check.py` refuses a repository in which they differ.
"""

from pathlib import Path

import yaml
from overlays import FOLDER, Manifest

RULES = FOLDER.parent / "prometheus/rules"
WRITTEN = FOLDER / "components/monitoring/prometheus-rules.yaml"
_HEAD = "# Written by prometheus_rule.py from deploy/prometheus/rules, which is the place to change them.\n"


def prometheus_rule(rules: Path) -> Manifest:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"pipeline3d-{rules.stem}"},
        "spec": yaml.safe_load(rules.read_text()),
    }


def text() -> str:
    manifests = [prometheus_rule(rules) for rules in sorted(RULES.glob("*.yml"))]
    return _HEAD + yaml.safe_dump_all(manifests, sort_keys=False, width=130, allow_unicode=True)


if __name__ == "__main__":
    WRITTEN.write_text(text())

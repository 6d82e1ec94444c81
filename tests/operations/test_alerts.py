"""Every alert is told of, tested, and explained. What the rules do is tested by promtool: `make check`."""

import re
from collections.abc import Iterable
from typing import Any

import yaml
from metric_vocabulary import REPOSITORY, Rule, rules, vocabulary

from contracts.failures import FailureCode

RUNBOOK = "docs/guides/runbook.md"
RULE_TESTS = sorted((REPOSITORY / "deploy" / "prometheus" / "tests").glob("*.yml"))
ALERTS: list[Rule] = [rule for rule in rules() if "alert" in rule]


def test_every_alert_says_how_bad_it_is_what_it_is_and_what_to_do() -> None:
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"critical", "warning"}, alert["alert"]
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}, alert["alert"]
        assert alert["annotations"]["description"].endswith("."), alert["alert"]
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOK}#{alert['alert'].lower()}"


def test_the_runbook_has_a_section_for_every_alert_and_for_no_other() -> None:
    part = re.search(r"^## Alerts\n(.*?)^## ", (REPOSITORY / RUNBOOK).read_text(), re.MULTILINE | re.DOTALL)
    assert part is not None
    sections = re.findall(r"^### (\w+)$", part[1], re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == {alert["alert"] for alert in ALERTS}


def test_rules_speak_of_metrics_and_labels_that_exist() -> None:
    for rule in rules():
        assert vocabulary().complaints(rule["expr"]) == [], rule.get("alert", rule.get("record"))


def test_rules_name_failures_as_the_contracts_do() -> None:
    codes = re.findall(r'\bcode(?:!~|=~|!=|=)"([^"]+)"', " ".join(rule["expr"] for rule in rules()))
    named = {code for group in codes for code in group.split("|")}
    assert {FailureCode.WORKER_LOST, FailureCode.INVALID_IMAGE} <= named
    assert named <= set(FailureCode)


def test_every_alert_fires_in_a_rule_test_with_the_labels_that_its_sentences_name() -> None:
    fired: dict[str, list[set[str]]] = {}
    for case in _cases():
        for sample in (sample for test in case["promql_expr_test"] for sample in test["exp_samples"]):
            if name := re.search(r'alertname="(\w+)"', sample["labels"]):
                fired.setdefault(name[1], []).append(set(re.findall(r"(\w+)=", sample["labels"])))
    for alert in ALERTS:
        sentences = alert["annotations"]["summary"] + alert["annotations"]["description"]
        named = set(re.findall(r"\$labels\.(\w+)", sentences))
        assert alert["alert"] in fired, f"no rule test makes {alert['alert']} fire"
        assert all(named <= labels for labels in fired[alert["alert"]]), alert["alert"]


def test_the_healthy_system_of_the_rule_tests_has_every_metric_that_an_alert_reads() -> None:
    read = _names_in(rule["expr"] for rule in rules()) - {rule.get("record") for rule in rules()}
    healthy = next(file for file in RULE_TESTS if file.stem == "healthy")
    series = (entry["series"] for entry in yaml.safe_load(healthy.read_text())["tests"][0]["input_series"])
    assert read - _names_in(series) == set()


def test_the_series_of_the_rule_tests_are_such_as_services_expose() -> None:
    for case in _cases():
        for entry in case["input_series"]:
            assert vocabulary().complaints(entry["series"]) == [], case["name"]


def _cases() -> list[dict[str, Any]]:
    return [case for file in RULE_TESTS for case in yaml.safe_load(file.read_text())["tests"]]


def _names_in(expressions: Iterable[str]) -> set[str]:
    return set().union(*(vocabulary().names(expression) for expression in expressions))

"""What the runbook tells people to look for is there."""

import re

import pytest
from metric_vocabulary import REPOSITORY, vocabulary

RUNBOOK = REPOSITORY / "docs" / "guides" / "runbook.md"
TEXT = RUNBOOK.read_text()


def test_its_queries_use_metrics_and_labels_that_exist() -> None:
    queries = re.findall(r"\bask '([^']+)'", TEXT)
    assert len(queries) > 5
    for query in queries:
        assert vocabulary().complaints(query) == [], query


def test_the_lines_it_greps_for_are_logged() -> None:
    events = re.findall(r"^\| `([\w.]+)`", (REPOSITORY / "specs" / "log-events.md").read_text(), re.MULTILINE)
    assert len(events) > 20
    patterns = [pattern.strip("'") for pattern in re.findall(r"grep (?:-E )?('[^']+'|[\w.]+)`", TEXT)]
    named = re.findall(r"`((?:bus|http|loop|orchestrator|gateway|gpu_worker|artifacts)\.\w+\.\w+)`", TEXT)
    assert len(patterns) > 10
    for wanted in (word for pattern in (*patterns, *named) for word in pattern.split("|")):
        assert any(re.search(wanted, event) for event in events), (
            f"no event of specs/log-events.md has {wanted!r} in its name"
        )


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT))))
def test_its_links_lead_somewhere(target: str) -> None:
    path, _, anchor = target.partition("#")
    document = (RUNBOOK.parent / path).resolve() if path else RUNBOOK
    assert document.is_file()
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    assert not anchor or anchor in {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

"""`docs/job-lifecycle.md` is the specification: every cell of its table is executed."""

from pathlib import Path

import pytest
from services.orchestrator.tests.builders import RULES
from services.orchestrator.tests.unit.lifecycle_table import ROWS, STATES, cell, decision, job_in, state_of

from orchestrator.decision import Verdict
from orchestrator.lifecycle import decide

DOCUMENT = Path(__file__).parents[4] / "docs" / "job-lifecycle.md"


def written_table() -> dict[str, dict[str, str]]:
    """The table of the document: message → state → cell."""
    lines = DOCUMENT.read_text().partition("<!-- table -->")[2].partition("<!-- /table -->")[0].strip().splitlines()
    header, _, *rows = ([field.strip() for field in line.strip("|").split("|")] for line in lines)
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


WRITTEN = written_table()


def test_the_document_has_every_message_and_every_state() -> None:
    assert list(WRITTEN) == list(ROWS)
    assert all(list(cells) == list(STATES) for cells in WRITTEN.values())


@pytest.mark.parametrize("state", STATES)
def test_messages_alone_bring_a_job_into_each_state(state: str) -> None:
    job, since = job_in(state)
    assert state_of(job, since) == state


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("message", ROWS)
def test_the_decision_is_the_documented_one(message: str, state: str) -> None:
    _, decided, now = decision(state, ROWS[message])
    assert cell(decided, now) == WRITTEN[message][state]


@pytest.mark.parametrize("state", STATES)
def test_a_message_that_is_not_applied_changes_and_tells_nothing(state: str) -> None:
    for message, row in ROWS.items():
        job, decided, _ = decision(state, row)
        if decided.verdict is Verdict.APPLIED:
            assert decided.job != job, message
        else:
            assert decided.job is job, message
            assert (decided.events, decided.ended) == ((), None), message


@pytest.mark.parametrize("state", STATES)
def test_a_message_said_twice_is_applied_once(state: str) -> None:
    for message, row in ROWS.items():
        _, first, now = decision(state, row)
        again = decide(first.job, row.message, now, RULES)
        assert again.verdict is not Verdict.APPLIED, message
        assert again.job is first.job, message


@pytest.mark.parametrize("state", STATES)
def test_an_abort_goes_to_the_worker_that_must_let_go(state: str) -> None:
    for message, row in ROWS.items():
        job, decided, _ = decision(state, row)
        if decided.abort is not None:
            reporter = getattr(row.message, "worker_id", None)
            holder = job.current.worker_id if job is not None and job.current is not None else None
            assert decided.abort.worker_id == (reporter or holder), message

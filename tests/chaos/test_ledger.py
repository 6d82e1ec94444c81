"""The checker itself is checked: made-up histories, each with one thing wrong, and it must find that and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from history import (
    Accepted,
    ArtifactRow,
    AttemptRow,
    DeadLetter,
    Download,
    File,
    Heard,
    History,
    JobRow,
    LogRow,
    Outcome,
    Sighting,
)
from ledger import Wrong, draw_up

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
QUEUED, RUNNING = Outcome("QUEUED", None, None), Outcome("RUNNING", None, None)
SUCCEEDED = Outcome("SUCCEEDED", None, NOON + timedelta(seconds=9))
FAILED = Outcome("FAILED", "engine_failed", NOON + timedelta(seconds=9))
MODEL = File("model.glb", "model", 64, "ab" * 32)
OBJECT = "jobs/job/second/model.glb"


def a_history() -> History:
    """One job that failed once, was tried again on another worker and succeeded. All is well."""
    log = [
        LogRow("job", 1, "job.queued", QUEUED, "d1"),
        LogRow("job", 2, "job.started", RUNNING, "d2", "first"),
        LogRow("job", 3, "job.retry_scheduled", QUEUED, "d3", "first"),
        LogRow("job", 4, "job.started", RUNNING, "d4", "second"),
        LogRow("job", 5, "job.succeeded", SUCCEEDED, "d5", "second", (MODEL,)),
    ]
    return History(
        accepted=(Accepted("key", "job", makes_model=True), Accepted("key", "job", makes_model=True)),
        sightings=(Sighting("job", SUCCEEDED, 12.0),),
        final={"job": SUCCEEDED},
        jobs=[JobRow("job", 5, SUCCEEDED, "second")],
        attempts=[
            AttemptRow("first", "job", 1, "FAILED", "worker-1", NOON, NOON + timedelta(seconds=3)),
            AttemptRow(
                "second", "job", 2, "SUCCEEDED", "worker-2", NOON + timedelta(seconds=4), NOON + timedelta(seconds=9)
            ),
        ],
        log=log,
        views=[JobRow("job", 5, SUCCEEDED, "second")],
        view_log=[(row.job_id, row.seq, row.type) for row in log],
        artifacts=[ArtifactRow("job", "second", MODEL, OBJECT)],
        downloads=(Download("job", OBJECT, MODEL.size_bytes, MODEL.sha256),),
        heard=[Heard("job", seq, f"d{seq}") for seq in (1, 2, 2, 3, 5, 4)],
    )


def test_a_job_that_was_retried_repeated_and_heard_twice_leaves_a_clean_ledger() -> None:
    ledger = draw_up(a_history())
    assert ledger.findings == ()
    assert (ledger.accepted, ledger.ended["SUCCEEDED"]) == (1, 1)
    assert ledger.attempts == {"FAILED": 1, "SUCCEEDED": 1}


Break = Callable[[History], object]


def _log(history: History, seq: int, **changes: object) -> None:
    history.log = [replace(row, **changes) if row.seq == seq else row for row in history.log]  # type: ignore[arg-type]


def _job(history: History, **changes: object) -> None:
    history.jobs = [replace(history.jobs[0], **changes)]  # type: ignore[arg-type]  # the test names real fields


def _download(history: History, **changes: object) -> None:
    history.downloads = (replace(history.downloads[0], **changes),)  # type: ignore[arg-type]  # as above


def never_reached_the_orchestrator(history: History) -> None:
    history.accepted += (Accepted("other-key", "other-job", makes_model=False),)


def still_runs(history: History) -> None:
    history.sightings, history.final, history.downloads = (), {"job": RUNNING}, ()
    history.jobs = history.views = [JobRow("job", 4, RUNNING, None)]
    history.log, history.view_log = history.log[:4], history.view_log[:4]
    history.heard = [heard for heard in history.heard if heard.seq < 5]
    history.attempts = [history.attempts[0], replace(history.attempts[1], status="STARTED", ended_at=None)]


def made_twice(history: History) -> None:
    history.accepted += (Accepted("key", "job-again", makes_model=True),)
    history.jobs = [*history.jobs, replace(history.jobs[0], job_id="job-again", seq=0, winning_attempt_id=None)]


def made_for_nobody(history: History) -> None:
    history.accepted = ()


def ended_twice(history: History) -> None:
    _log(history, 3, outcome=FAILED, type="job.failed")


def won_twice(history: History) -> None:
    history.attempts = [replace(attempt, status="SUCCEEDED") for attempt in history.attempts]


def answer_changed(history: History) -> None:
    history.sightings += (Sighting("job", FAILED, 5.0),)


def later_success_than_was_seen(history: History) -> None:
    moved = replace(SUCCEEDED, completed_at=NOON)
    history.sightings += (Sighting("job", moved, 5.0),)


def api_forgot_it(history: History) -> None:
    history.final = {"job": None}


def gap_in_the_log(history: History) -> None:
    history.log = [row for row in history.log if row.seq != 3]
    history.view_log = [row for row in history.view_log if row[1] != 3]
    history.heard = [heard for heard in history.heard if heard.seq != 3]


def row_ahead_of_the_log(history: History) -> None:
    _job(history, seq=6)
    history.views = list(history.jobs)


def row_and_last_event_disagree(history: History) -> None:
    _log(history, 5, outcome=FAILED)


def another_attempt_won_in_the_log(history: History) -> None:
    _log(history, 5, attempt_id="first")


def view_behind(history: History) -> None:
    history.views = [replace(history.views[0], seq=4, outcome=RUNNING)]


def view_missing(history: History) -> None:
    history.views = []


def copy_of_the_log_lacks_an_event(history: History) -> None:
    history.view_log = history.view_log[1:]


def copy_of_the_log_has_one_more(history: History) -> None:
    history.view_log = [*history.view_log, ("job", 6, "job.failed")]


def two_leases_at_once(history: History) -> None:
    history.attempts = [replace(history.attempts[0], ended_at=NOON + timedelta(seconds=5)), history.attempts[1]]


def lease_never_ended(history: History) -> None:
    history.attempts = [replace(history.attempts[0], ended_at=None), history.attempts[1]]


def model_gone(history: History) -> None:
    _download(history, sha256=None, problem="the store answered 404")


def model_cut_short(history: History) -> None:
    _download(history, size_bytes=60)


def model_of_other_bytes(history: History) -> None:
    _download(history, sha256="cd" * 32)


def model_of_the_losing_attempt(history: History) -> None:
    _download(history, object_name="jobs/job/first/model.glb")


def not_in_the_register(history: History) -> None:
    history.artifacts = []


def register_says_otherwise(history: History) -> None:
    history.artifacts = [ArtifactRow("job", "second", replace(MODEL, size_bytes=65), OBJECT)]


def succeeded_without_model(history: History) -> None:
    _log(history, 5, outputs=())


def event_never_said(history: History) -> None:
    history.heard = [heard for heard in history.heard if heard.seq != 4]


def event_said_in_two_versions(history: History) -> None:
    history.heard = [*history.heard, Heard("job", 4, "another")]


def event_said_that_never_was(history: History) -> None:
    history.heard = [*history.heard, Heard("job", 6, "d6")]


def message_died(history: History) -> None:
    history.dead_letters = (DeadLetter("orchestrator.reports", "handler_crashed", "attempt.started", "{}"),)


@pytest.mark.parametrize(
    ("happened", "wrong"),
    [
        (never_reached_the_orchestrator, Wrong.LOST),
        (still_runs, Wrong.LOST),
        (made_twice, Wrong.DUPLICATED),
        (made_for_nobody, Wrong.DUPLICATED),
        (ended_twice, Wrong.DUPLICATED),
        (won_twice, Wrong.DUPLICATED),
        (answer_changed, Wrong.CONTRADICTED),
        (later_success_than_was_seen, Wrong.CONTRADICTED),
        (api_forgot_it, Wrong.CONTRADICTED),
        (gap_in_the_log, Wrong.CONTRADICTED),
        (row_ahead_of_the_log, Wrong.CONTRADICTED),
        (row_and_last_event_disagree, Wrong.CONTRADICTED),
        (another_attempt_won_in_the_log, Wrong.CONTRADICTED),
        (view_behind, Wrong.CONTRADICTED),
        (view_missing, Wrong.CONTRADICTED),
        (copy_of_the_log_lacks_an_event, Wrong.CONTRADICTED),
        (copy_of_the_log_has_one_more, Wrong.CONTRADICTED),
        (two_leases_at_once, Wrong.CONTRADICTED),
        (lease_never_ended, Wrong.CONTRADICTED),
        (model_gone, Wrong.CONTRADICTED),
        (model_cut_short, Wrong.CONTRADICTED),
        (model_of_other_bytes, Wrong.CONTRADICTED),
        (model_of_the_losing_attempt, Wrong.CONTRADICTED),
        (not_in_the_register, Wrong.CONTRADICTED),
        (register_says_otherwise, Wrong.CONTRADICTED),
        (succeeded_without_model, Wrong.CONTRADICTED),
        (event_never_said, Wrong.CONTRADICTED),
        (event_said_in_two_versions, Wrong.CONTRADICTED),
        (event_said_that_never_was, Wrong.CONTRADICTED),
        (message_died, Wrong.DEAD),
    ],
)
def test_the_ledger_finds_what_is_wrong(happened: Break, wrong: Wrong) -> None:
    history = a_history()
    happened(history)
    found = draw_up(history)
    assert wrong in {finding.wrong for finding in found.findings}
    assert not found.is_clean


@pytest.mark.parametrize("happened", [still_runs, event_never_said, two_leases_at_once, model_gone, view_behind])
def test_one_thing_that_is_wrong_is_one_finding(happened: Break) -> None:
    history = a_history()
    happened(history)
    assert len(draw_up(history).findings) == 1


def test_a_finding_names_the_job_and_says_what_happened() -> None:
    history = a_history()
    event_never_said(history)
    (finding,) = draw_up(history).findings
    assert finding.job_id == "job"
    assert finding.sentence == "its event 4 (job.started) never reached the subscriber"

"""Where two who should agree do not: client and log, log and row, row and view, register and stored bytes, bus and log.

What must hold is Lamport's and Jepsen's everyday fare: a terminal answer is stable, a log is a prefix-closed sequence that
every reader sees alike, and a lease is held by one at a time.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from history import TERMINAL, AttemptRow, History, LogRow

Row = TypeVar("Row", LogRow, AttemptRow)

Found = tuple[str, str]
"""A job and a sentence about it."""


def contradictions(history: History) -> Iterator[Found]:
    yield from _answers_that_changed(history)
    yield from _log_against_rows(history)
    yield from _views_against_rows(history)
    yield from _views_against_log(history)
    yield from _overlapping_attempts(history)
    yield from _missing_or_foreign_models(history)
    yield from _unheard(history)


def _answers_that_changed(history: History) -> Iterator[Found]:
    """Once a client saw how a job ended, that is how it ended."""
    rows = {job.job_id: job.outcome for job in history.jobs}
    for sighting in history.sightings:
        final = history.final.get(sighting.job_id)
        row = rows.get(sighting.job_id)
        if final is None or final != sighting.outcome:
            yield (
                sighting.job_id,
                f"was seen {sighting.outcome} {sighting.at_seconds:.1f} s into the run; now it is {final}",
            )
        elif row != final:
            yield sighting.job_id, f"is {final} for its owner, {row} for the orchestrator"
    seen = {sighting.job_id for sighting in history.sightings}
    for job_id, final in history.final.items():
        if job_id not in seen and final != rows.get(job_id):
            yield job_id, f"is {final} for its owner, {rows.get(job_id)} for the orchestrator"


def _log_against_rows(history: History) -> Iterator[Found]:
    """Gapless from 1, silent after the end, and the last event is what the row says."""
    log = _by_job(history.log)
    for job in history.jobs:
        rows = sorted(log.get(job.job_id, ()), key=lambda row: row.seq)
        if [row.seq for row in rows] != list(range(1, job.seq + 1)):
            yield job.job_id, f"has seq {job.seq}, but its log holds {[row.seq for row in rows]}"
            continue
        if rows and rows[-1].outcome != job.outcome:
            yield job.job_id, f"is {job.outcome}, but its last event says {rows[-1].outcome}"
        if any(row.outcome.status in TERMINAL for row in rows[:-1]):
            yield job.job_id, f"went on after its end: {', '.join(row.type for row in rows)}"
        winners = [row.attempt_id for row in rows if row.type == "job.succeeded"]
        if winners != ([job.winning_attempt_id] if job.winning_attempt_id else []):
            yield job.job_id, f"was won by {job.winning_attempt_id}, but by {winners} in its log"


def _views_against_rows(history: History) -> Iterator[Found]:
    views = {view.job_id: view for view in history.views}
    for job in history.jobs:
        view = views.get(job.job_id)
        if view is None:
            yield job.job_id, "has no view in the gateway"
        elif (view.seq, view.outcome, view.winning_attempt_id) != (job.seq, job.outcome, job.winning_attempt_id):
            yield (
                job.job_id,
                f"is {job.outcome} (seq {job.seq}), but {view.outcome} (seq {view.seq}) in the gateway's view",
            )


def _views_against_log(history: History) -> Iterator[Found]:
    log = {(row.job_id, row.seq): row.type for row in history.log}
    copied = {(job_id, seq): type_ for job_id, seq, type_ in history.view_log}
    for (job_id, seq), type_ in log.items():
        if (copy := copied.get((job_id, seq))) != type_:
            yield job_id, f"has {type_} as event {seq}, the gateway's copy of the log {copy or 'nothing'}"
    for job_id, seq in copied.keys() - log.keys():
        yield job_id, f"has no event {seq}, but the gateway's copy of its log has"


def _overlapping_attempts(history: History) -> Iterator[Found]:
    """The next attempt is dispatched when the lease of the one before has ended, by the database's clock."""
    for job_id, attempts in _by_job(history.attempts).items():
        ordered = sorted(attempts, key=lambda attempt: attempt.number)
        if [attempt.number for attempt in ordered] != list(range(1, len(ordered) + 1)):
            yield job_id, f"has attempts numbered {[attempt.number for attempt in ordered]}"
        for earlier, later in pairwise(ordered):
            if earlier.ended_at is None or earlier.ended_at > later.dispatched_at:
                yield job_id, _overlap(earlier, later)
    ended = {job.job_id for job in history.jobs if job.outcome.status in TERMINAL}
    for attempt in history.attempts:
        if attempt.job_id in ended and attempt.ended_at is None:
            yield attempt.job_id, f"is over, but its attempt {attempt.number} is {attempt.status}"


def _overlap(earlier: AttemptRow, later: AttemptRow) -> str:
    return (
        f"had attempt {earlier.number} ({earlier.worker_id}) until {earlier.ended_at or 'now'}, "
        f"and attempt {later.number} ({later.worker_id}) from {later.dispatched_at}"
    )


def _missing_or_foreign_models(history: History) -> Iterator[Found]:
    """SUCCEEDED means: the winner's file is there, whole."""
    makes_model = {accepted.job_id for accepted in history.accepted if accepted.makes_model}
    succeeded = {row.job_id: row for row in history.log if row.type == "job.succeeded"}
    downloads = {download.job_id: download for download in history.downloads}
    registered = {(row.job_id, row.attempt_id, row.file.name): row for row in history.artifacts}
    for job_id, event in succeeded.items():
        for output in event.outputs:
            row = registered.get((job_id, event.attempt_id, output.name))
            if row is None or row.file != output:
                yield job_id, f"succeeded with {output}, but the register has {row.file if row else 'nothing'}"
        if job_id not in makes_model:
            continue
        model = next((output for output in event.outputs if output.kind == "model"), None)
        if model is None:
            yield job_id, "succeeded without the model file it was to make"
            continue
        row = registered.get((job_id, event.attempt_id, model.name))
        got = downloads.get(job_id)
        if got is None or got.sha256 is None:
            yield job_id, f"succeeded, but its model cannot be had: {got.problem if got else 'nobody tried'}"
        elif row is not None and got.object_name != row.object_name:
            yield job_id, f"was won by {event.attempt_id}, but {got.object_name} is what its owner gets"
        elif (got.sha256, got.size_bytes) != (model.sha256, model.size_bytes):
            yield job_id, f"has a model of {model.size_bytes} bytes, {model.sha256}; got {got.size_bytes}, {got.sha256}"


def _unheard(history: History) -> Iterator[Found]:
    """Every row of the log reaches a subscriber at least once, and says the same each time.

    A subscriber that applies an event only if it is newer than what it holds has then seen them in the order of `seq`.
    """
    digests: dict[tuple[str, int], set[str]] = defaultdict(set)
    for heard in history.heard:
        digests[heard.job_id, heard.seq].add(heard.digest)
    for row in history.log:
        said = digests.pop((row.job_id, row.seq), set())
        if not said:
            yield row.job_id, f"its event {row.seq} ({row.type}) never reached the subscriber"
        elif said != {row.digest}:
            yield row.job_id, f"its event {row.seq} ({row.type}) was said in {len(said | {row.digest})} versions"
    for job_id, seq in digests:
        yield job_id, f"its event {seq} was said, but is not in its log"


def _by_job(rows: Sequence[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.job_id].append(row)
    return grouped

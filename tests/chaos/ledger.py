"""The ledger: what became of every accepted job, and what must not have happened.

Drawn up after the fact from the whole history by a checker that knows nothing of how the system works, as Jepsen does it
(Kingsbury; the checker of its queue tests accounts for every acknowledged enqueue as ok, lost, duplicated or unexpected).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from contradictions import contradictions
from history import TERMINAL, History


class Wrong(StrEnum):
    LOST = "lost"
    DUPLICATED = "duplicated"
    CONTRADICTED = "contradicted"
    DEAD = "dead letters"


@dataclass(frozen=True, slots=True)
class Finding:
    wrong: Wrong
    job_id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Ledger:
    accepted: int
    ended: Counter[str]
    """Accepted jobs by terminal status."""
    attempts: Counter[str]
    """By how they ended."""
    findings: tuple[Finding, ...]

    def jobs(self, wrong: Wrong) -> list[str]:
        """The jobs something of this kind happened to, each once."""
        return sorted({finding.job_id for finding in self.findings if finding.wrong is wrong})

    @property
    def is_clean(self) -> bool:
        return not self.findings


def draw_up(history: History) -> Ledger:
    """Pure. A job that was answered for counts once, however often it was."""
    jobs = {job.job_id: job for job in history.jobs}
    accepted = {accepted.job_id for accepted in history.accepted}
    findings = (
        *(Finding(Wrong.LOST, *found) for found in _lost(history)),
        *(Finding(Wrong.DUPLICATED, *found) for found in _duplicated(history)),
        *(Finding(Wrong.CONTRADICTED, *found) for found in contradictions(history)),
        *(Finding(Wrong.DEAD, *found) for found in _dead(history)),
    )
    return Ledger(
        accepted=len(accepted),
        ended=Counter(
            jobs[job_id].outcome.status for job_id in accepted & jobs.keys() if jobs[job_id].outcome.status in TERMINAL
        ),
        attempts=Counter(attempt.status for attempt in history.attempts),
        findings=findings,
    )


def _lost(history: History) -> Iterator[tuple[str, str]]:
    """Accepted, and not over although everything is well again."""
    jobs = {job.job_id: job for job in history.jobs}
    for job_id in sorted({accepted.job_id for accepted in history.accepted}):
        if job_id not in jobs:
            yield job_id, "was answered for, but the orchestrator never heard of it"
        elif jobs[job_id].outcome.status not in TERMINAL:
            yield job_id, f"is still {jobs[job_id].outcome.status} after the drain"


def _duplicated(history: History) -> Iterator[tuple[str, str]]:
    made: dict[str, set[str]] = defaultdict(set)
    for accepted in history.accepted:
        made[accepted.key].add(accepted.job_id)
    for key, job_ids in made.items():
        if len(job_ids) > 1:
            yield min(job_ids), f"is one of {len(job_ids)} jobs that the key {key} made: {', '.join(sorted(job_ids))}"
    answered = {accepted.job_id for accepted in history.accepted}
    for job in history.jobs:
        if job.job_id not in answered:
            yield job.job_id, "exists, but no POST was ever answered with it, although each was repeated until it was"
    endings = Counter(row.job_id for row in history.log if row.outcome.status in TERMINAL)
    yield from _more_than_one(endings, "terminal events")
    winners = Counter(attempt.job_id for attempt in history.attempts if attempt.status == "SUCCEEDED")
    yield from _more_than_one(winners, "attempts that count as SUCCEEDED")


def _more_than_one(counted: Counter[str], what: str) -> Iterator[tuple[str, str]]:
    for job_id, count in counted.items():
        if count > 1:
            yield job_id, f"has {count} {what}"


def _dead(history: History) -> Iterable[tuple[str, str]]:
    for letter in history.dead_letters:
        yield "–", f"{letter.queue} got a {letter.type} ({letter.reason}): {letter.body[:300]}"

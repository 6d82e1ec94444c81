"""A run as a person reads it, and as a program does."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger import Wrong
from recovery import by_kind

if TYPE_CHECKING:
    from chaos import Run

_MOST_FINDINGS = 40


def show(run: "Run") -> str:
    """The ledger, the faults with their recovery times, and every finding up to a screenful or two."""
    return "\n".join((*_ledger(run), "", *_recoveries(run), *_remarks(run), *_findings(run)))


def write_json(run: "Run", file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(as_json(run), indent=2) + "\n")


def as_json(run: "Run") -> dict[str, Any]:
    ledger = run.ledger
    return {
        "seed": run.seed,
        "minutes": run.minutes,
        "clocks_skewed": run.clocks_skewed,
        "accepted": ledger.accepted,
        "ended": dict(ledger.ended),
        "wrong": {wrong: len(ledger.jobs(wrong)) for wrong in Wrong},
        "attempts": dict(ledger.attempts),
        "faults": by_kind(run.recoveries),
        "schedule": [asdict(recovery) | {"fault": str(recovery.fault)} for recovery in run.recoveries],
        "seconds": {name: round(seconds, 1) for name, seconds in run.seconds.items()},
        "ended_per_10_seconds": _ended_per_10_seconds(run),
        "left_under_way": run.left_under_way,
        "never_ready": run.never_ready,
        "surprises": run.surprises,
        "answers": run.answers,
        "repeated_messages": run.repeated_messages,
        "findings": [asdict(finding) for finding in ledger.findings],
    }


def _ledger(run: "Run") -> list[str]:
    ledger, ended = run.ledger, run.ledger.ended
    attempts = ", ".join(f"{count} {status}" for status, count in sorted(ledger.attempts.items()))
    return [
        "",
        f"Ledger of seed {run.seed}, {run.minutes:g} minutes",
        f"  accepted      {ledger.accepted:6}",
        f"  succeeded     {ended['SUCCEEDED']:6}",
        f"  failed        {ended['FAILED']:6}",
        f"  cancelled     {ended['CANCELLED']:6}",
        *(f"  {wrong:<13} {len(ledger.jobs(wrong)):6}{'' if not ledger.jobs(wrong) else '   <<<'}" for wrong in Wrong),
        f"  attempts: {attempts}; messages repeated late: {run.repeated_messages}",
        f"  jobs ended per 10 s: {' '.join(map(str, _ended_per_10_seconds(run)))}",
        "  " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in run.seconds.items()),
    ]


def _ended_per_10_seconds(run: "Run") -> list[int]:
    counted = Counter(int(at // 10) for at in run.ended_at_seconds if at >= 0)
    return [counted[slot] for slot in range(max(counted, default=-1) + 1)]


def _recoveries(run: "Run") -> list[str]:
    lines = [f"{'Faults':<47}count   from the strike      once healed", f"{'':<54}p50      max      p50      max"]
    for kind, figures in by_kind(run.recoveries).items():
        times = "".join(
            f"{'–' if value is None else f'{value:.1f} s':>9}" for name, value in figures.items() if name != "count"
        )
        lines.append(f"  {kind:<45}{figures['count']:5}{times}")
    return lines


def _remarks(run: "Run") -> list[str]:
    surprises = Counter(surprise.partition(", 'request_id'")[0] for surprise in run.surprises)
    return [
        *([f"\nNot at rest after the drain: {run.left_under_way}"] if run.left_under_way else []),
        *(f"\n{sentence}" for sentence in run.never_ready),
        *(f"\n{count} × an answer the contract does not have: {what}" for what, count in surprises.most_common(10)),
    ]


def _findings(run: "Run") -> list[str]:
    findings = run.ledger.findings
    lines = [f"  {finding.wrong}: {finding.job_id} {finding.sentence}" for finding in findings[:_MOST_FINDINGS]]
    more = [f"  … and {len(findings) - _MOST_FINDINGS} more"] if len(findings) > _MOST_FINDINGS else []
    return ["", f"{len(findings)} findings", *lines, *more] if findings else []

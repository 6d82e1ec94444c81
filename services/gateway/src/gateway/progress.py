"""The latest that workers told about running attempts. Telemetry: kept in memory, bounded, gone with the process."""

from collections import OrderedDict
from dataclasses import dataclass

from contracts.attempts import AttemptProgressed
from contracts.ids import JobId
from contracts.states import Stage


@dataclass(frozen=True, slots=True)
class Progress:
    attempt: int
    percent: float
    stage: Stage


class ProgressBoard:
    """The latest progress of at most `capacity` jobs; the one not heard of for longest makes room."""

    def __init__(self, *, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._latest: OrderedDict[JobId, Progress] = OrderedDict()

    def hear(self, report: AttemptProgressed) -> None:
        """Takes note, unless the report is of an attempt that a later one has replaced. Within one, percent never falls."""
        known = self._latest.get(report.job_id)
        percent, stage = report.percent, report.stage
        if known is not None:
            if known.attempt > report.attempt:
                return
            if known.attempt == report.attempt and known.percent > percent:
                percent, stage = known.percent, known.stage  # overtaken on the way by a later report
        self._latest[report.job_id] = Progress(report.attempt, percent, stage)
        self._latest.move_to_end(report.job_id)
        if len(self._latest) > self._capacity:
            self._latest.popitem(last=False)

    def of(self, job_id: JobId, attempt: int) -> Progress | None:
        """What was heard of this very attempt."""
        progress = self._latest.get(job_id)
        return progress if progress is not None and progress.attempt == attempt else None

    def forget(self, job_id: JobId) -> None:
        self._latest.pop(job_id, None)

    def __len__(self) -> int:
        return len(self._latest)

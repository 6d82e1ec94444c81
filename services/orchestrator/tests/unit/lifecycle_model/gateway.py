"""The gateway: asks for jobs until they are acknowledged, and believes the newest event it has heard of each."""

from dataclasses import dataclass, field

from services.orchestrator.tests.builders import requested
from services.orchestrator.tests.unit.lifecycle_model.bus import Bus

from contracts.ids import AttemptId, JobId
from contracts.jobs import JobEvent, JobSpec, JobState, JobSucceeded


@dataclass(slots=True)
class View:
    """What it shows of a job."""

    seq: int
    state: JobState
    winning_attempt_id: AttemptId | None = None
    heard: set[int] = field(default_factory=set)
    """The log it shows: every event once."""


@dataclass(slots=True)
class Gateway:
    bus: Bus
    accepted: dict[JobId, JobSpec] = field(default_factory=dict)
    """Answered with 201: from here on the job must end."""
    views: dict[JobId, View] = field(default_factory=dict)
    ended: set[JobId] = field(default_factory=set)

    @property
    def open_jobs(self) -> list[JobSpec]:
        """Not known to be over."""
        return [spec for job_id, spec in self.accepted.items() if job_id not in self.ended]

    def accept(self, spec: JobSpec) -> None:
        self.accepted[spec.job_id] = spec
        self.ask(spec)

    def ask(self, spec: JobSpec) -> None:
        self.bus.to_orchestrator.append(requested(spec))

    def ask_again_for_unacknowledged(self) -> None:
        for job_id, spec in self.accepted.items():
            if job_id not in self.views:
                self.ask(spec)

    def hear(self, event: JobEvent) -> None:
        """Idempotent, and in any order the same: what is not newer changes no more than the log."""
        view = self.views.setdefault(event.job_id, View(event.seq, event.state))
        view.heard.add(event.seq)
        if event.state.status.is_terminal:
            self.ended.add(event.job_id)
        if event.seq > view.seq:
            view.seq, view.state = event.seq, event.state
        if isinstance(event, JobSucceeded):
            view.winning_attempt_id = event.attempt_id

"""What the orchestrator has committed: a model of its tables and of the statements of `orchestrator.store`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.orchestrator.tests.unit.lifecycle_model.bus import Heartbeat

from contracts.ids import AttemptId, JobId
from contracts.jobs import JobEvent
from contracts.states import AttemptStatus, JobStatus
from orchestrator.decision import ExecutionOverdue, LeaseLapsed, QueueDeadlinePassed, Rules, Timer
from orchestrator.fold import Fold
from orchestrator.job import Attempt, Job


@dataclass(slots=True)
class Database:
    jobs: dict[JobId, Job] = field(default_factory=dict)
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict)
    job_of_attempt: dict[AttemptId, JobId] = field(default_factory=dict)
    log: dict[JobId, list[JobEvent]] = field(default_factory=dict)
    unpublished: dict[tuple[JobId, int], JobEvent] = field(default_factory=dict)
    touched: set[JobId] = field(default_factory=set)
    """Written since somebody last looked."""

    def load(self, job_ids: Iterable[JobId]) -> dict[JobId, Job]:
        """Each with its current attempt as the table of attempts has it: heartbeats renew leases there."""
        return {job_id: self._joined(self.jobs[job_id]) for job_id in job_ids if job_id in self.jobs}

    def _joined(self, job: Job) -> Job:
        return job if job.current is None else replace(job, current=self.attempts[job.current.attempt_id])

    def write(self, fold: Fold) -> None:
        assert not any(job.job_id in self.jobs for job in fold.created), "a job was created twice"
        self.jobs |= {job.job_id: job for job in (*fold.created, *fold.changed)}
        self.touched |= fold.jobs.keys()
        for job, attempt in fold.written_attempts():
            self._upsert(job, attempt)
        for event, _ in fold.events:
            self.log.setdefault(event.job_id, []).append(event)
            self.unpublished[event.job_id, event.seq] = event

    def _upsert(self, job: Job, attempt: Attempt) -> None:
        known = self.attempts.get(attempt.attempt_id)
        leases = [
            row.lease_expires_at for row in (known, attempt) if row is not None and row.lease_expires_at is not None
        ]
        self.attempts[attempt.attempt_id] = replace(attempt, lease_expires_at=max(leases, default=None))
        self.job_of_attempt[attempt.attempt_id] = job.job_id

    def attempts_of(self, job_id: JobId) -> list[Attempt]:
        """Oldest first."""
        return [self.attempts[attempt_id] for attempt_id, owner in self.job_of_attempt.items() if owner == job_id]

    # --- heartbeats ---

    def renew_leases(self, heartbeat: Heartbeat, now: datetime, rules: Rules) -> None:
        """Of the attempts that are STARTED on the worker that names them."""
        for attempt in self.named_by(heartbeat):
            if attempt.status is AttemptStatus.STARTED and attempt.worker_id == heartbeat.worker_id:
                self.attempts[attempt.attempt_id] = replace(attempt, lease_expires_at=now + rules.lease_ttl)

    def named_by(self, heartbeat: Heartbeat) -> Iterator[Attempt]:
        return (self.attempts[attempt_id] for attempt_id in heartbeat.attempts if attempt_id in self.attempts)

    # --- what time does ---

    def due_timers(self, now: datetime) -> Iterator[Timer]:
        for attempt in self.attempts.values():
            if attempt.status is AttemptStatus.STARTED:
                assert attempt.lease_expires_at is not None
                assert attempt.deadline_at is not None
                job_id = self.job_of_attempt[attempt.attempt_id]
                if attempt.lease_expires_at <= now:
                    yield LeaseLapsed(job_id, attempt.attempt_id)
                elif attempt.deadline_at <= now:
                    yield ExecutionOverdue(job_id, attempt.attempt_id)
        for job in self.jobs.values():
            if job.status is JobStatus.QUEUED and job.queue_deadline_at is not None and job.queue_deadline_at <= now:
                yield QueueDeadlinePassed(job.job_id)

"""Folds a batch of messages through the lifecycle, in memory: what must be written, and what must be said."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from contracts.ids import AttemptId, JobId, ModelId, UserId
from contracts.jobs import JobEvent, JobRequested
from contracts.states import AttemptStatus, JobStatus
from orchestrator.decision import Abort, Decision, Dispatch, Input, Rules, Verdict
from orchestrator.job import Attempt, Job
from orchestrator.lifecycle import decide
from orchestrator.scheduling import Candidate


@dataclass(frozen=True, slots=True)
class Outbound:
    """What a commit made true and the bus must hear."""

    events: tuple[tuple[JobEvent, str | None], ...] = ()
    """With the trace context of what caused them."""
    dispatched: tuple[Job, ...] = ()
    aborts: tuple[Abort, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.dispatched or self.aborts)


@dataclass(slots=True)
class Fold:
    """The jobs of a batch as they were loaded, and as they have become."""

    loaded: dict[JobId, Job]
    now: datetime
    rules: Rules
    jobs: dict[JobId, Job] = field(init=False)
    ended: dict[AttemptId, tuple[Job, Attempt]] = field(init=False, default_factory=dict)
    """Attempts that ended, with their outcome."""
    events: list[tuple[JobEvent, str | None]] = field(init=False, default_factory=list)
    aborts: list[Abort] = field(init=False, default_factory=list)
    retell: set[JobId] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.jobs = dict(self.loaded)

    def apply(self, message: Input, traceparent: str | None = None) -> Verdict:
        """`traceparent`: of what the message brings about. A new job keeps it; None stands for the job's own."""
        job_id = job_id_of(message)
        before = self.jobs.get(job_id)
        decision = decide(before, message, self.now, self.rules)
        if decision.job is not None and decision.job is not before:
            self._keep(decision, traceparent)
        if decision.abort is not None:
            self.aborts.append(replace(decision.abort, traceparent=traceparent))
        if decision.retell and job_id in self.loaded:
            self.retell.add(job_id)
        return decision.verdict

    def _keep(self, decision: Decision, traceparent: str | None) -> None:
        assert decision.job is not None
        job = decision.job
        if job.job_id not in self.jobs:
            job = replace(job, traceparent=traceparent)
        self.jobs[job.job_id] = job
        if decision.ended is not None:
            self.ended[decision.ended.attempt_id] = (job, decision.ended)
        self.events.extend((event, traceparent or job.traceparent) for event in decision.events)

    def load(self, jobs: dict[JobId, Job]) -> None:
        """Jobs the batch did not name, which the dispatcher chose."""
        self.loaded |= jobs
        self.jobs |= jobs

    @property
    def created(self) -> list[Job]:
        return [job for job_id, job in self.jobs.items() if job_id not in self.loaded]

    @property
    def changed(self) -> list[Job]:
        return [job for job_id, job in self.jobs.items() if job_id in self.loaded and job is not self.loaded[job_id]]

    def written_attempts(self) -> Iterator[tuple[Job, Attempt]]:
        """Every attempt the batch made, changed or ended."""
        yield from self.ended.values()
        for job_id, job in self.jobs.items():
            before = self.loaded.get(job_id)
            if job.current is not None and (before is None or before.current is not job.current):
                yield job, job.current

    def dispatched(self) -> tuple[Job, ...]:
        """Jobs whose current attempt this batch put on the bus."""
        return tuple(
            job
            for job, attempt in self.written_attempts()
            if attempt.status is AttemptStatus.DISPATCHED and attempt is job.current
        )

    def outbound(self) -> Outbound:
        return Outbound(tuple(self.events), self.dispatched(), tuple(self.aborts))

    # --- what the dispatcher needs to know of a batch that is not written yet ---

    def waiting(self, model_id: ModelId) -> list[Candidate]:
        return [
            Candidate(job.job_id, job.spec.user_id, job.spec.priority, job.accepted_at)
            for job in self.jobs.values()
            if job.spec.model_id == model_id and _waits(job, self.now)
        ]

    def usage_change(self, model_id: ModelId, status: AttemptStatus) -> Counter[UserId]:
        """By how many attempts in `status` each user's count of this model differs from what is stored."""
        change: Counter[UserId] = Counter()
        for job_id, job in self.jobs.items():
            if job.spec.model_id != model_id:
                continue
            before = self.loaded.get(job_id)
            change[job.spec.user_id] += _holds(job, status) - (before is not None and _holds(before, status))
        return change

    def touched_models(self) -> set[ModelId]:
        """Where a job may have begun to wait, or an attempt have left the window."""
        return {job.spec.model_id for job_id, job in self.jobs.items() if job is not self.loaded.get(job_id)}

    def dispatch(self, job_id: JobId, attempt_id: UUID) -> None:
        self.apply(Dispatch(job_id, AttemptId(attempt_id)))


def job_id_of(message: Input) -> JobId:
    return message.job.job_id if isinstance(message, JobRequested) else message.job_id


def _waits(job: Job, now: datetime) -> bool:
    due = job.not_before is None or job.not_before <= now
    return job.status is JobStatus.QUEUED and job.current is None and due


def _holds(job: Job, status: AttemptStatus) -> bool:
    return job.current is not None and job.current.status is status

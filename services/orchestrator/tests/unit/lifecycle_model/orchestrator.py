"""The orchestrator around the lifecycle: its commit, its relay and its watch of the clock, with the real `Fold` in the middle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from itertools import count
from uuid import UUID

from services.orchestrator.tests.unit.lifecycle_model.bus import Bus, Heartbeat, Task, ToOrchestrator
from services.orchestrator.tests.unit.lifecycle_model.database import Database

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, ModelId, UserId
from contracts.jobs import JobCancelRequested, JobEvent
from contracts.states import AttemptStatus
from orchestrator.decision import Abort, Dispatch, Input, Rules, Verdict
from orchestrator.fold import Fold, Outbound, job_id_of
from orchestrator.job import Job
from orchestrator.scheduling import choose


class Fate(Enum):
    """Where a commit is cut short."""

    WELL = auto()
    CRASHED_BEFORE_COMMIT = auto()
    CRASHED_AFTER_COMMIT = auto()
    """And before a word was said of it."""
    COULD_NOT_PUBLISH = auto()


@dataclass(frozen=True, slots=True)
class Decided:
    """One message, and everything that it did."""

    message: Input
    at: datetime
    verdict: Verdict
    before: Job | None
    after: Job | None
    events: tuple[JobEvent, ...]
    aborts: tuple[Abort, ...]
    told_in_full: bool
    """Every event of the job is said with this commit."""


@dataclass(slots=True)
class Orchestrator:
    bus: Bus
    rules: Rules
    models: Sequence[ModelId]
    database: Database = field(default_factory=Database)
    decided: list[Decided] = field(default_factory=list)
    """Since somebody last looked."""
    _attempt_numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def hear(self, batch: Sequence[ToOrchestrator], now: datetime, *, room: int = 0, fate: Fate = Fate.WELL) -> None:
        """Folds a batch as `CommitBatch` does, and dispatches up to `room` jobs of each model. After a crash all comes again."""
        for message in batch:
            if isinstance(message, Heartbeat):
                self._hear_heartbeat(message, now)
        self._commit([message for message in batch if not isinstance(message, Heartbeat)], now, room, fate)
        if fate in {Fate.CRASHED_BEFORE_COMMIT, Fate.CRASHED_AFTER_COMMIT}:
            self.bus.to_orchestrator.extend(batch)

    def _commit(self, batch: Sequence[Input], now: datetime, room: int, fate: Fate) -> None:
        fold = Fold(self.database.load(map(job_id_of, batch)), now, self.rules)
        too_early = [message for message in batch if self._decide(fold, message) is Verdict.UNKNOWN_JOB]
        for model_id in self.models if room else ():
            self._fill_window(fold, model_id, room)
        if fate is Fate.CRASHED_BEFORE_COMMIT:
            return
        self.database.write(fold)
        if fate is Fate.WELL:
            fold.events += [(event, None) for job_id in fold.retell for event in self.database.log[job_id]]
            self._say(fold.outbound())
        if fate is not Fate.CRASHED_AFTER_COMMIT:
            # A cancel that overtook its request is given back to the queue.
            self.bus.to_orchestrator.extend(message for message in too_early if isinstance(message, JobCancelRequested))

    def _decide(self, fold: Fold, message: Input) -> Verdict:
        job_id = job_id_of(message)
        before, told, aborted = fold.jobs.get(job_id), len(fold.events), len(fold.aborts)
        verdict = fold.apply(message)
        events = tuple(event for event, _ in fold.events[told:])
        aborts = tuple(fold.aborts[aborted:])
        retold = job_id in fold.retell or job_id not in fold.loaded
        self.decided.append(Decided(message, fold.now, verdict, before, fold.jobs.get(job_id), events, aborts, retold))
        return verdict

    def _fill_window(self, fold: Fold, model_id: ModelId, room: int) -> None:
        elsewhere = Fold(self.database.load(self.database.jobs.keys() - fold.jobs.keys()), fold.now, self.rules)
        active = self._active(model_id)
        for status in (AttemptStatus.DISPATCHED, AttemptStatus.STARTED):
            for user_id, change in fold.usage_change(model_id, status).items():
                active[user_id] = active.get(user_id, 0) + change
        assert all(number >= 0 for number in active.values()), "a user holds fewer attempts than none"
        for chosen in choose(fold.waiting(model_id) + elsewhere.waiting(model_id), active, room):
            if chosen.job_id not in fold.jobs:
                fold.load({chosen.job_id: elsewhere.jobs[chosen.job_id]})
            verdict = self._decide(fold, Dispatch(chosen.job_id, self.new_attempt_id()))
            assert verdict is Verdict.APPLIED, "a job was chosen that does not wait"

    def _active(self, model_id: ModelId) -> dict[UserId, int]:
        active: dict[UserId, int] = {}
        for attempt in self.database.attempts.values():
            spec = self.database.jobs[self.database.job_of_attempt[attempt.attempt_id]].spec
            if not attempt.status.is_over and spec.model_id == model_id:
                active[spec.user_id] = active.get(spec.user_id, 0) + 1
        return active

    def new_attempt_id(self) -> AttemptId:
        return AttemptId(UUID(int=next(self._attempt_numbers)))

    # --- the relay ---

    def _say(self, outbound: Outbound) -> None:
        for job in outbound.dispatched:
            self.say_task(job)
        self.bus.aborts.extend(outbound.aborts)
        for event, _ in outbound.events:
            self.bus.events.append(event)
            self.database.unpublished.pop((event.job_id, event.seq), None)

    def say_task(self, job: Job) -> None:
        assert job.current is not None
        assert job.current.status is AttemptStatus.DISPATCHED, "an attempt was put on the bus that is not to be taken"
        self.bus.tasks.append(Task(job.job_id, job.current.attempt_id))

    def tell_what_was_left_behind(self) -> None:
        """Events no broker has confirmed. If the broker lost its memory, what it had confirmed does not count: all of them."""
        if self.bus.lost_its_memory:
            self.bus.events.extend(event for log in self.database.log.values() for event in log)
            self.bus.lost_its_memory = False
        else:
            self.bus.events.extend(self.database.unpublished.values())
        self.database.unpublished.clear()

    # --- what it does unasked ---

    def watch_clock(self, now: datetime) -> None:
        self.hear(list(self.database.due_timers(now)), now)

    def dispatched_jobs(self) -> list[Job]:
        """Their attempts are on the bus, as far as is known here."""
        jobs = self.database.load(self.database.jobs).values()
        return [job for job in jobs if job.current is not None and job.current.status is AttemptStatus.DISPATCHED]

    def say_lost_tasks_again(self) -> None:
        queued = {task.attempt_id for task in self.bus.tasks}
        for job in self.dispatched_jobs():
            assert job.current is not None
            if job.current.attempt_id not in queued:
                self.say_task(job)

    def _hear_heartbeat(self, heartbeat: Heartbeat, now: datetime) -> None:
        """As `HearHeartbeats`: renews leases, and names the attempts to let go of."""
        for attempt in self.database.named_by(heartbeat):
            job_id: JobId = self.database.job_of_attempt[attempt.attempt_id]
            foreign = attempt.status is AttemptStatus.STARTED and attempt.worker_id != heartbeat.worker_id
            if attempt.status.is_over or foreign:
                reason = FailureCode.WORKER_LOST
            elif self.database.jobs[job_id].cancel_requested:
                reason = FailureCode.CANCELLED
            else:
                continue
            self.bus.aborts.append(Abort(heartbeat.worker_id, job_id, attempt.attempt_id, reason))
        self.database.renew_leases(heartbeat, now, self.rules)

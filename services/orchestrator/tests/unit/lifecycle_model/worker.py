"""A worker as the bus knows it: honest, but it may be slow, unheard, cut short or gone."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.orchestrator.tests.builders import failed, stage_changed, started, succeeded
from services.orchestrator.tests.unit.lifecycle_model.bus import Bus, Heartbeat, Task

from contracts.attempts import AttemptFailed, AttemptSucceeded
from contracts.failures import FailureCode
from contracts.ids import AttemptId, WorkerId
from contracts.states import Stage
from orchestrator.decision import Abort

Outcome = AttemptSucceeded | AttemptFailed


@dataclass(slots=True)
class Worker:
    """Believes that an attempt is its own until it is told otherwise, or could not say so for too long."""

    worker_id: WorkerId
    bus: Bus
    fence_at: datetime
    """When it stops its attempts unless a heartbeat was published before."""
    is_alive: bool = True
    held: dict[AttemptId, Task] = field(default_factory=dict)
    outcomes: dict[AttemptId, Outcome] = field(default_factory=dict)

    def take(self, task: Task) -> None:
        """Claims it. A copy of one that runs or ran here means that somebody did not hear of it: what was said is said again."""
        outcome = self.outcomes.get(task.attempt_id)
        if outcome is not None:
            self.bus.to_orchestrator.append(outcome)
            return
        self.held[task.attempt_id] = task
        self.bus.to_orchestrator.append(started(task.job_id, task.attempt_id, self.worker_id))

    def hand_back_unclaimed(self, task: Task) -> None:
        """The broker took its claim but the confirmation got lost: it lets go of a task that it may well be held to."""
        if task.attempt_id not in self.held and task.attempt_id not in self.outcomes:
            self.bus.to_orchestrator.append(started(task.job_id, task.attempt_id, self.worker_id))
        self.bus.tasks.append(task)

    def reach(self, task: Task, stage: Stage) -> None:
        self.bus.to_orchestrator.append(stage_changed(task.job_id, task.attempt_id, self.worker_id, stage))

    def succeed(self, task: Task) -> None:
        self._conclude(task, succeeded(task.job_id, task.attempt_id, self.worker_id))

    def fail(self, task: Task, code: FailureCode) -> None:
        self._conclude(task, failed(task.job_id, task.attempt_id, code, self.worker_id))

    def _conclude(self, task: Task, outcome: Outcome) -> None:
        del self.held[task.attempt_id]
        self.outcomes[task.attempt_id] = outcome
        self.bus.to_orchestrator.append(outcome)

    def obey(self, abort: Abort) -> None:
        """An attempt that is not here, or whose outcome is decided, is past stopping."""
        task = self.held.get(abort.attempt_id)
        if task is not None:
            self.fail(task, abort.reason)

    def fail_all(self, code: FailureCode) -> None:
        for task in list(self.held.values()):
            self.fail(task, code)

    def beat(self, now: datetime, fenced_after: timedelta) -> None:
        self.bus.to_orchestrator.append(Heartbeat(self.worker_id, tuple(self.held)))
        self.fence_at = now + fenced_after

    def look_at_the_clock(self, now: datetime) -> None:
        """Unheard for a lease and a heartbeat, its attempts are somebody else's by now: it stops them."""
        if now >= self.fence_at:
            self.fail_all(FailureCode.WORKER_LOST)

    def shut_down(self) -> None:
        self.fail_all(FailureCode.WORKER_SHUTDOWN)
        self.is_alive = False

    def crash(self) -> None:
        """Without a word. What it said before may still arrive."""
        self.held.clear()
        self.is_alive = False

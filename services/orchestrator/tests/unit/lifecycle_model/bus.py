"""A broker that promises no more than it must: whatever it holds may come in any order, and more than once."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from contracts.ids import AttemptId, JobId, WorkerId
from contracts.jobs import JobEvent
from orchestrator.decision import Abort, Input


@dataclass(frozen=True, slots=True)
class Heartbeat:
    worker_id: WorkerId
    attempts: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """`RunAttempt`, as far as the lifecycle is concerned."""

    job_id: JobId
    attempt_id: AttemptId


ToOrchestrator: TypeAlias = Input | Heartbeat
M = TypeVar("M")


@dataclass(slots=True)
class Bus:
    """What is under way. Whoever takes a message says which one, and so nothing is ever in order by itself."""

    to_orchestrator: list[ToOrchestrator] = field(default_factory=list)
    """Timers of its own that are late or doubled, too: another replica noticed them."""
    tasks: list[Task] = field(default_factory=list)
    aborts: list[Abort] = field(default_factory=list)
    events: list[JobEvent] = field(default_factory=list)
    failures: int = 0
    lost_its_memory: bool = False
    """And nobody has noticed yet."""

    @property
    def queues(self) -> tuple[list[Any], ...]:
        return self.to_orchestrator, self.tasks, self.aborts, self.events

    @property
    def fleeting(self) -> list[tuple[list[Any], Heartbeat | Abort]]:
        """What is not worth keeping, since it is repeated, and the queue it is in."""
        return [(queue, it) for queue in self.queues for it in queue if isinstance(it, Heartbeat | Abort)]

    def lose_everything(self) -> None:
        for queue in self.queues:
            queue.clear()
        self.failures += 1
        self.lost_its_memory = True


def take(queue: list[M], pick: int) -> M:
    """Any of them: `pick` wraps around."""
    return queue.pop(pick % len(queue))


def take_all(queue: list[M]) -> list[M]:
    taken, queue[:] = queue[:], []
    return taken

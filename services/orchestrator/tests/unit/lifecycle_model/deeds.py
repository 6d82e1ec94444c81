"""What each of those who take part may do next, for better or worse."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from hypothesis import strategies as st
from services.orchestrator.tests.builders import STRANGER, cancel, started, succeeded
from services.orchestrator.tests.unit.lifecycle_model.bus import Task, ToOrchestrator
from services.orchestrator.tests.unit.lifecycle_model.worker import Worker
from services.orchestrator.tests.unit.lifecycle_model.world import FENCED_AFTER, World

from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId
from contracts.jobs import JobSpec
from contracts.states import Stage
from orchestrator.decision import Dispatch

MOST_BROKER_FAILURES = 2
"""More of them, and a story is about nothing else."""

_NOBODY = UUID(int=0xDEAD)

T = TypeVar("T")


def pick(choices: Iterable[T], number: int) -> T:
    """One of them: the number wraps around."""
    listed = list(choices)
    return listed[number % len(listed)]


# --- the gateway, of a job that it does not know to be over ---


def asks_again(world: World, job: JobSpec) -> None:
    world.gateway.ask(job)


def cancels_for_its_owner(world: World, job: JobSpec) -> None:
    world.bus.to_orchestrator.append(cancel(job.job_id, job.user_id))


def cancels_for_a_stranger(world: World, job: JobSpec) -> None:
    world.bus.to_orchestrator.append(cancel(job.job_id, STRANGER))


gateway_deeds = st.sampled_from([asks_again, cancels_for_its_owner, cancels_for_a_stranger])
GatewayDeed = Callable[[World, JobSpec], None]


# --- the bus, with one of the messages that are under way ---


def will_deliver_twice(world: World, message: int) -> None:
    queue, doubled = pick([(queue, it) for queue in world.bus.queues for it in queue], message)
    queue.append(doubled)


def loses_what_it_need_not_keep(world: World, message: int) -> None:
    if world.bus.fleeting:
        queue, lost = pick(world.bus.fleeting, message)
        queue.remove(lost)


def loses_everything(world: World, _message: int) -> None:
    if world.bus.failures < MOST_BROKER_FAILURES:
        world.bus.lose_everything()


def brings_a_report_of_a_job_that_nobody_knows(world: World, message: int) -> None:
    job_id, attempt_id = JobId(_NOBODY), AttemptId(_NOBODY)
    reports: list[ToOrchestrator] = [started(job_id, attempt_id), succeeded(job_id, attempt_id)]
    world.bus.to_orchestrator.append(pick(reports, message))


bus_deeds = st.sampled_from(
    [will_deliver_twice, loses_what_it_need_not_keep, loses_everything, brings_a_report_of_a_job_that_nobody_knows]
)
BusDeed = Callable[[World, int], None]


# --- the orchestrator, unasked ---


def fills_its_windows(world: World) -> None:
    world.orchestrator.hear([], world.now, room=3)


def chooses_jobs_that_do_not_wait(world: World) -> None:
    """A replica whose count of what waits is behind."""
    choice = [Dispatch(job_id, world.orchestrator.new_attempt_id()) for job_id in world.database.jobs]
    world.orchestrator.hear(choice, world.now)


def watches_the_clock(world: World) -> None:
    world.orchestrator.watch_clock(world.now)


def says_again_what_may_be_lost(world: World) -> None:
    """For nothing, as often as not: it cannot know that a worker has just taken a task."""
    for job in world.orchestrator.dispatched_jobs():
        world.orchestrator.say_task(job)
    world.orchestrator.tell_what_was_left_behind()


orchestrator_deeds = st.sampled_from(
    [fills_its_windows, watches_the_clock, says_again_what_may_be_lost, chooses_jobs_that_do_not_wait]
)
OrchestratorDeed = Callable[[World], None]


# --- a worker, at work on a task ---


def succeeds(_world: World, worker: Worker, task: Task) -> None:
    worker.succeed(task)


def sends_a_heartbeat(world: World, worker: Worker, _task: Task) -> None:
    worker.beat(world.now, FENCED_AFTER)


def is_restarted(world: World, worker: Worker, _task: Task) -> None:
    worker.shut_down()
    world.start_worker()


def crashes(world: World, worker: Worker, _task: Task) -> None:
    worker.crash()
    world.start_worker()


@dataclass(frozen=True)
class Reaches:
    stage: Stage

    def __call__(self, _world: World, worker: Worker, task: Task) -> None:
        worker.reach(task, self.stage)


@dataclass(frozen=True)
class Fails:
    code: FailureCode

    def __call__(self, _world: World, worker: Worker, task: Task) -> None:
        worker.fail(task, self.code)


worker_deeds = st.one_of(
    st.just(succeeds),
    st.just(crashes),
    st.just(sends_a_heartbeat),
    st.just(is_restarted),
    st.sampled_from(Stage).map(Reaches),
    st.sampled_from(FailureCode).map(Fails),
)
WorkerDeed = Callable[[World, Worker, Task], None]

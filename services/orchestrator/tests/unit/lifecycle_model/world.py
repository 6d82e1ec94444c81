"""Everything there is: a clock, a bus without order, an orchestrator, a gateway, and workers that come and go."""

from datetime import datetime, timedelta
from itertools import count

from services.orchestrator.tests.builders import RULES, T0
from services.orchestrator.tests.unit.lifecycle_model.bus import Bus, Task, take, take_all
from services.orchestrator.tests.unit.lifecycle_model.database import Database
from services.orchestrator.tests.unit.lifecycle_model.gateway import Gateway
from services.orchestrator.tests.unit.lifecycle_model.orchestrator import Orchestrator
from services.orchestrator.tests.unit.lifecycle_model.worker import Worker

from contracts.attempts import AttemptSucceeded
from contracts.ids import AttemptId, ModelId, WorkerId

MODELS = (ModelId("simulated-v1"), ModelId("silhouette-v1"))
HEARTBEAT_INTERVAL = timedelta(seconds=5)
FENCED_AFTER = RULES.lease_ttl + HEARTBEAT_INTERVAL
NUMBER_OF_WORKERS = 2
HEARTBEATS_TO_SETTLE = 100
"""Of calm, after which every job must be over: room for the longest back-off (375 s), a lease, and the words in between."""


class World:
    def __init__(self) -> None:
        self.now: datetime = T0
        self.bus = Bus()
        self.orchestrator = Orchestrator(self.bus, RULES, MODELS)
        self.gateway = Gateway(self.bus)
        self.workers: list[Worker] = []
        """Those that are gone, too: nobody knows that for certain."""
        self._worker_numbers = count(1)
        for _ in range(NUMBER_OF_WORKERS):
            self.start_worker()

    @property
    def database(self) -> Database:
        return self.orchestrator.database

    @property
    def live_workers(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.is_alive]

    @property
    def number_of_open_jobs(self) -> int:
        return len(self.gateway.accepted) - sum(job.status.is_terminal for job in self.database.jobs.values())

    @property
    def running(self) -> list[tuple[Worker, Task]]:
        """By belief of the workers."""
        return [(worker, task) for worker in self.live_workers for task in worker.held.values()]

    @property
    def said_to_have_succeeded(self) -> set[tuple[AttemptId, WorkerId]]:
        return {
            (attempt_id, worker.worker_id)
            for worker in self.workers
            for attempt_id, outcome in worker.outcomes.items()
            if isinstance(outcome, AttemptSucceeded)
        }

    def start_worker(self) -> None:
        worker_id = WorkerId(f"worker-{next(self._worker_numbers)}")
        self.workers.append(Worker(worker_id, self.bus, fence_at=self.now + FENCED_AFTER))

    def pass_time(self, span: timedelta) -> None:
        self.now += span
        for worker in self.live_workers:
            worker.look_at_the_clock(self.now)

    def deliver_abort(self, pick: int) -> None:
        abort = take(self.bus.aborts, pick)
        for worker in self.live_workers:
            if worker.worker_id == abort.worker_id:
                worker.obey(abort)

    def bring_tasks_to_workers(self) -> None:
        """All that was said until now is heard, in order and without a hitch, and every task is taken."""
        self.orchestrator.hear(take_all(self.bus.to_orchestrator), self.now, room=10)
        while self.bus.aborts:
            self.deliver_abort(0)
        for number, task in enumerate(take_all(self.bus.tasks)):
            self.live_workers[number % len(self.live_workers)].take(task)

    def deliver_everything(self) -> None:
        """Until every task is at work and everybody knows."""
        self.bring_tasks_to_workers()
        self.orchestrator.hear(take_all(self.bus.to_orchestrator), self.now)
        for event in take_all(self.bus.events):
            self.gateway.hear(event)

    # --- the calm after the storm ---

    def settle(self) -> None:
        """No more faults: whatever was lost is noticed and said again, and workers that live do their work."""
        for _ in range(HEARTBEATS_TO_SETTLE):
            self._one_calm_heartbeat()
            if self.is_settled:
                return

    @property
    def is_settled(self) -> bool:
        jobs = self.database.jobs
        over = all(job_id in jobs and jobs[job_id].status.is_terminal for job_id in self.gateway.accepted)
        silent = not (self.bus.to_orchestrator or self.bus.tasks or self.bus.aborts or self.bus.events)
        return over and silent and not self.running

    def _one_calm_heartbeat(self) -> None:
        self.pass_time(HEARTBEAT_INTERVAL)
        self.gateway.ask_again_for_unacknowledged()
        for worker in self.live_workers:
            worker.beat(self.now, FENCED_AFTER)
        self.orchestrator.tell_what_was_left_behind()
        self.orchestrator.watch_clock(self.now)
        self.orchestrator.say_lost_tasks_again()
        self.deliver_everything()
        for worker, task in self.running:
            worker.succeed(task)
        self.deliver_everything()

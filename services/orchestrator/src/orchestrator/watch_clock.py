"""Turns the passing of time into messages: leases that lapsed, deadlines that passed, back-offs that ended."""

from datetime import timedelta

import structlog

from contracts.ids import AttemptId, JobId
from contracts.topology import worker_tasks
from orchestrator import store
from orchestrator.availability import Availability
from orchestrator.commit_batch import Commits, FillWindow, Said
from orchestrator.decision import ExecutionOverdue, LeaseLapsed, QueueDeadlinePassed, Timer
from orchestrator.metrics import SAID_AGAIN, SLOTS
from orchestrator.relay import Relay
from service_kit.bus import Bus
from service_kit.database import Pool

log = structlog.get_logger()

_TIMERS_AT_ONCE = 500
_MISSED_HEARTBEATS = 3.0
_FORGET_WORKERS_AFTER_SECONDS = 3600.0


class WatchClock:
    """One step looks at everything that time alone can change. Replicas may all run it: the lifecycle drops what is doubled."""

    def __init__(
        self,
        pool: Pool,
        bus: Bus,
        relay: Relay,
        commits: Commits,
        availability: Availability,
        *,
        redispatch_after: timedelta,
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._relay = relay
        self._commits = commits
        self._availability = availability
        self._redispatch_after = redispatch_after

    async def __call__(self) -> None:
        await self.count_slots()
        await self._fire_timers()
        await self._commits.submit_all([FillWindow(model_id) for model_id in self._availability.served])
        await self._say_lost_tasks_again()

    async def count_slots(self) -> None:
        """Reads who is alive, and fills the windows of models that have grown."""
        async with self._pool.acquire() as connection:
            slots = await store.live_slots(connection, _MISSED_HEARTBEATS)
            await store.forget_workers(connection, _FORGET_WORKERS_AFTER_SECONDS)
        grown = self._availability.update(slots)
        for model_id, count in slots.items():
            SLOTS.labels(model=model_id).set(count)
        await self._commits.submit_all([FillWindow(model_id) for model_id in grown])

    async def _fire_timers(self) -> None:
        async with self._pool.acquire() as connection:
            due = await store.due_timers(connection, _TIMERS_AT_ONCE)
        if due:
            log.warning("orchestrator.timers.due", count=len(due))
            await self._commits.submit_all([Said(_timer(kind, job_id, attempt_id)) for kind, job_id, attempt_id in due])

    async def _say_lost_tasks_again(self) -> None:
        """Attempts long on the bus while their queue is empty: the broker lost them, or a crash came before they were said.

        A task that merely waits behind a long job is in its queue, and left there.
        """
        for model_id in self._availability.served:
            async with self._pool.acquire() as connection:
                waiting = await store.long_dispatched(connection, model_id, self._redispatch_after)
            if waiting and await self._bus.ready_messages(worker_tasks(model_id)) == 0:
                SAID_AGAIN.inc(len(waiting))
                log.warning("orchestrator.attempts.said_again", model_id=model_id, count=len(waiting))
                await self._relay.publish_tasks(waiting)


def _timer(kind: str, job_id: JobId, attempt_id: AttemptId | None) -> Timer:
    if attempt_id is None:
        return QueueDeadlinePassed(job_id)
    return LeaseLapsed(job_id, attempt_id) if kind == "lease" else ExecutionOverdue(job_id, attempt_id)

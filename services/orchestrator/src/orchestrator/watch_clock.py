"""Turns the passing of time into messages: leases that lapsed, deadlines that passed, back-offs that ended."""

import time
from collections.abc import Callable

import structlog

from contracts.ids import AttemptId, JobId
from orchestrator import store
from orchestrator.availability import MISSED_HEARTBEATS, Availability
from orchestrator.commit_batch import Commits, FillWindow, Said
from orchestrator.decision import ExecutionOverdue, LeaseLapsed, QueueDeadlinePassed, Timer
from service_kit.database import Pool

log = structlog.get_logger()

_TIMERS_AT_ONCE = 500
_BUSY_SECONDS = 2.0
"""So long between two looks need not mean more than a busy machine."""
_FORGET_WORKERS_AFTER_SECONDS = 3600.0


class WatchClock:
    """One step looks at everything that time alone can change. Replicas may all run it: the lifecycle drops what is doubled."""

    def __init__(
        self,
        pool: Pool,
        commits: Commits,
        availability: Availability,
        *,
        listening_for: Callable[[], float],
        lease_ttl_seconds: float,
    ) -> None:
        """`listening_for`: seconds since this process began to hear heartbeats, without a break; 0 while it cannot."""
        self._pool = pool
        self._commits = commits
        self._availability = availability
        self._listening_for = listening_for
        self._lease_ttl_seconds = lease_ttl_seconds
        self._looked_at = self._deaf_until = 0.0

    async def __call__(self) -> None:
        await self.count_slots()
        self._notice_deafness()
        await self._fire_timers()
        await self._commits.submit_all([FillWindow(model_id) for model_id in self._availability.served])

    async def count_slots(self) -> None:
        """Reads who is alive, and fills the windows of models that have grown."""
        async with self._pool.acquire() as connection:
            slots = await store.live_slots(connection, MISSED_HEARTBEATS)
            await store.forget_workers(connection, _FORGET_WORKERS_AFTER_SECONDS)
        grown = self._availability.update(slots)
        await self._commits.submit_all([FillWindow(model_id) for model_id in grown])

    def _notice_deafness(self) -> None:
        """A long time since the last look: the database was away, or this process frozen. Heartbeats could not be recorded."""
        now = time.monotonic()
        if now - self._looked_at > max(self._lease_ttl_seconds / 3, _BUSY_SECONDS):
            self._deaf_until = now + self._lease_ttl_seconds
        self._looked_at = now

    async def _fire_timers(self) -> None:
        # Who was deaf a moment ago cannot tell a silent worker from a heartbeat that is still on its way here.
        can_tell = self._listening_for() >= self._lease_ttl_seconds and time.monotonic() >= self._deaf_until
        async with self._pool.acquire() as connection:
            due = await store.due_timers(connection, _TIMERS_AT_ONCE, with_leases=can_tell)
        if due:
            log.warning("orchestrator.timers.fired", count=len(due))
            await self._commits.submit_all([Said(_timer(kind, job_id, attempt_id)) for kind, job_id, attempt_id in due])


def _timer(kind: str, job_id: JobId, attempt_id: AttemptId | None) -> Timer:
    if attempt_id is None:
        return QueueDeadlinePassed(job_id)
    return LeaseLapsed(job_id, attempt_id) if kind == "lease" else ExecutionOverdue(job_id, attempt_id)

"""Says, every few seconds, that this worker lives and which attempts it holds; stops them when nobody can hear that."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

import structlog

from contracts.cloudevents import wrap
from contracts.failures import FailureCode
from contracts.ids import WorkerId
from contracts.workers import ServedModel, WorkerHeartbeat
from gpu_worker.attempt import Attempt
from gpu_worker.held_attempts import HeldAttempts
from gpu_worker.lease_clock import lease_time
from gpu_worker.metrics import FENCED
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError
from service_kit.loops import Loop

log = structlog.get_logger()


class Heartbeat:
    """The first one is sent at once, the last one when stopping.

    Each renews the lease of every attempt it names. An attempt that has been unheard for the length of a lease and one interval
    belongs to others: it is stopped here, so that none runs without a lease for longer. Counted from the moment at which the last
    heartbeat that the broker confirmed was *sent*: what is written into a connection that is frozen, nobody has heard.
    """

    def __init__(
        self,
        bus: Bus,
        worker_id: WorkerId,
        models: Sequence[ServedModel],
        held: HeldAttempts,
        *,
        interval_seconds: float,
        lease_ttl_seconds: float,
    ) -> None:
        self._bus = bus
        self._worker_id = worker_id
        self._models = tuple(models)
        self._held = held
        self._interval_seconds = interval_seconds
        self._fenced_after_seconds = lease_ttl_seconds + interval_seconds
        self._numbers = count(1)
        self._heard_at = lease_time()
        self._fence: asyncio.TimerHandle | None = None
        self._fencing: asyncio.Task[None] | None = None
        self._loop = Loop("heartbeat", self._beat, interval_seconds=interval_seconds)
        self._stopping = False

    def start(self) -> None:
        self._heard_at = lease_time()
        self._arm_fence()
        self._loop.start()

    def announce_stopping(self) -> None:
        """From now on: no more tasks, please. Attempts still held go on being named."""
        self._stopping = True
        self._loop.wake()

    async def stop(self) -> None:
        """Says a last time what is held, which should be nothing, and that this worker is gone."""
        await self._loop.stop()
        self._stopping = True
        await self._beat()
        if self._fence is not None:
            self._fence.cancel()

    async def _beat(self) -> None:
        # First: a process that was stopped for long wakes up here, and must not claim what it has lost.
        await self._stop_unheard()
        sent_at = lease_time()
        heartbeat = WorkerHeartbeat(
            worker_id=self._worker_id,
            models=self._models,
            attempts=self._held.named,
            stopping=self._stopping,
            interval_seconds=self._interval_seconds,
            sent_at=datetime.now(UTC),
        )
        event = wrap(
            heartbeat,
            event_id=f"{self._worker_id}/heartbeat/{next(self._numbers)}",
            source=f"/gpu-worker/{self._worker_id}",
            subject=self._worker_id,
            time=heartbeat.sent_at,
        )
        try:
            await self._bus.publish(WorkerHeartbeat, [event], durable=False)
        except BusUnavailableError as error:
            # Not raised: the loop would wait longer and longer, and the lease does not wait.
            log.warning("gpu_worker.heartbeat.not_heard", attempts=len(self._held), error=repr(error))
        else:
            self._heard_at = sent_at
            self._arm_fence()

    # --- the fence ---

    def _arm_fence(self) -> None:
        """For the attempt that will be the first to have been unheard for too long."""
        now = lease_time()
        due_later = [due_at for attempt in self._held if (due_at := self._due_at(attempt)) > now]
        due_at = min(due_later, default=now + self._fenced_after_seconds)
        if self._fence is not None:
            self._fence.cancel()
        self._fence = asyncio.get_running_loop().call_later(due_at - now, self._on_fence)

    def _on_fence(self) -> None:
        self._fencing = asyncio.create_task(self._stop_unheard())
        self._arm_fence()

    def _due_at(self, attempt: Attempt) -> float:
        """Its start was a heartbeat of its own."""
        return max(self._heard_at, attempt.claimed_at) + self._fenced_after_seconds

    async def _stop_unheard(self) -> None:
        """Returns when their engines have let go."""
        now = lease_time()
        unheard = [attempt for attempt in self._held if attempt.is_stoppable and self._due_at(attempt) <= now]
        if not unheard:
            return
        FENCED.inc()
        log.error("gpu_worker.attempts.fenced", attempts=len(unheard), unheard_ms=round((now - self._heard_at) * 1000))
        message = f"the worker could not be heard for {self._fenced_after_seconds:g} s"
        await asyncio.gather(*(attempt.stop(FailureCode.WORKER_LOST, message) for attempt in unheard))

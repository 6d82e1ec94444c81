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
from gpu_worker.held_attempts import HeldAttempts
from gpu_worker.metrics import FENCED
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError
from service_kit.loops import Loop

log = structlog.get_logger()


class Heartbeat:
    """The first one is sent at once, the last one when stopping.

    Each renews the lease of every attempt it names. When none could be published for the length of a lease and one interval, the
    orchestrator has given those attempts to others: they are stopped here, so that no attempt runs without a lease for longer.
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
        self._fence: asyncio.TimerHandle | None = None
        self._stopping_attempts: asyncio.Task[None] | None = None
        self._loop = Loop("heartbeat", self._beat, interval_seconds=interval_seconds)
        self._stopping = False

    def start(self) -> None:
        self._arm_fence()
        self._loop.start()

    def announce_stopping(self) -> None:
        """From now on: no more tasks, please. Attempts still held go on being named."""
        self._stopping = True
        self._loop.wake()

    async def stop(self) -> None:
        """Says a last time what is held, which should be nothing, and that this worker is gone."""
        await self._loop.stop()
        if self._fence is not None:
            self._fence.cancel()
        self._stopping = True
        await self._beat()

    async def _beat(self) -> None:
        heartbeat = WorkerHeartbeat(
            worker_id=self._worker_id,
            models=self._models,
            attempts=self._held.ids,
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
            log.warning("gpu_worker.heartbeat.unheard", attempts=len(self._held), error=str(error))
        else:
            self._arm_fence()

    def _arm_fence(self) -> None:
        if self._fence is not None:
            self._fence.cancel()
        self._fence = asyncio.get_running_loop().call_later(self._fenced_after_seconds, self._stop_attempts)

    def _stop_attempts(self) -> None:
        if not len(self._held):
            return
        FENCED.inc()
        log.error("gpu_worker.attempts.fenced", attempts=len(self._held), unheard_seconds=self._fenced_after_seconds)
        self._stopping_attempts = asyncio.create_task(self._stop_all())

    async def _stop_all(self) -> None:
        message = f"the worker could not be heard for {self._fenced_after_seconds:g} s"
        await asyncio.gather(*(attempt.stop(FailureCode.WORKER_LOST, message) for attempt in self._held))

"""Takes attempts of one model from the queue that its workers share, and no more than this one can run."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from functools import partial
from itertools import count
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from contracts import topology
from contracts.ids import ModelId, WorkerId
from contracts.workers import ServedModel
from gpu_worker.delivery import Delivery, read_delivery
from gpu_worker.metrics import HANDED_BACK, SLOTS, SLOTS_BUSY, STORING
from gpu_worker.slots import Slot, Slots
from service_kit.bus import Bus
from service_kit.consumer import consumes
from service_kit.loops import Loop

log = structlog.get_logger()

Perform = Callable[[Delivery, Sequence[Slot]], Coroutine[Any, Any, None]]
"""Gets as many slots as the delivery has attempts."""

_ABANDON_AGAIN_SECONDS = 0.1
_RPC_TIMEOUT_SECONDS = 5.0


class Intake:
    """Consumes while a slot may be free.

    A delivery gets a slot at once, or waits for one that is about to be free. When none was for `patience_seconds`, the consumer
    is cancelled and what waits is handed back, for other workers to have; when one is, consuming starts again, with a window of
    as many deliveries as there are free slots. Attempts that are over sooner than that never touch the consumer.
    """

    def __init__(
        self, bus: Bus, worker_id: WorkerId, model: ServedModel, perform: Perform, *, patience_seconds: float
    ) -> None:
        self.model_id: ModelId = model.model_id
        self._bus = bus
        self._queue = topology.worker_tasks(model.model_id)
        self._name = f"{worker_id}.{model.model_id}"
        self._tag = ""
        self._numbers = count(1)
        self._perform = perform
        self._patience_seconds = patience_seconds
        self._slots = Slots(model.slots, self._on_change)
        self._waiting: deque[Delivery] = deque()
        self._performing: set[asyncio.Task[None]] = set()
        self._rabbit: AbstractQueue | None = None
        self._window = 0  # the consumer's prefetch; 0: not consuming
        self._stopping = False
        self._tender = Loop(f"intake {model.model_id}", self._tend, interval_seconds=patience_seconds / 4)
        bus.add_intake(self._queue, self._on_open)
        SLOTS.labels(model=self.model_id).set(model.slots)
        self._busy = SLOTS_BUSY.labels(model=self.model_id)
        self._storing = STORING.labels(model=self.model_id)

    def start(self) -> None:
        """Takes attempts from now on; the bus is started."""
        self._tender.start()

    async def stop(self) -> None:
        """Takes nothing more and hands back what waits. Attempts under way go on."""
        self._stopping = True
        await self._tender.stop()
        if self._rabbit is not None and await consumes(self._rabbit, self._tag):
            self._window = max(self._window, 1)  # the tender was cut off between consuming and noting it
        await self._tend()

    async def finish(self, timeout_seconds: float) -> bool:
        """Waits for the attempts under way, their reports included; whether all of them are over."""
        if self._performing:
            await asyncio.wait(self._performing, timeout=timeout_seconds)
        return not self._performing

    async def abandon(self) -> None:
        """Ends what is under way, without a report: the bus is not to be had."""
        while self._performing:  # one that was being stopped takes the first cancellation for its stop
            for task in tuple(self._performing):
                task.cancel()
            await asyncio.wait(self._performing, timeout=_ABANDON_AGAIN_SECONDS)

    async def is_attached(self) -> bool:
        """Whether there is a consumer, if there should be one. Without a connection there can be none: the bus's affair."""
        if self._rabbit is None or self._rabbit.channel.is_closed or self._wanted_window() == 0:
            return True
        return await consumes(self._rabbit, self._tag)

    def _on_open(self, queue: AbstractQueue) -> None:
        """What waited here came by the last connection, and the broker has it again."""
        self._rabbit = queue
        self._window = 0
        self._waiting.clear()
        self._tender.wake()

    # --- deliveries ---

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        attempts, rejected = read_delivery(message, self.model_id)
        settle = partial(self._bus.settle, self._queue, message, rejected)
        if not attempts:
            await settle()
            return
        delivery = Delivery(attempts, message, settle)
        if self._stopping:
            await delivery.hand_back()
        elif self._slots.free > 0:
            self._admit(delivery)
        elif self._window == 0:
            await delivery.hand_back()  # it was under way when consuming ended
        else:
            self._waiting.append(delivery)

    def _admit(self, delivery: Delivery) -> None:
        slots = self._slots.take(len(delivery.events))
        self._busy.set(self._slots.total - self._slots.free)
        # In a context of its own: often it is the end of another attempt that makes room for this one.
        task = asyncio.create_task(self._perform(delivery, slots), context=Context())
        self._performing.add(task)
        task.add_done_callback(self._on_performed)

    def _on_performed(self, task: asyncio.Task[None]) -> None:
        self._performing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("gpu_worker.attempt.lost", exc_info=task.exception())

    def _on_change(self) -> None:
        self._storing.set(self._slots.storing)
        while self._waiting and self._slots.free > 0:
            self._admit(self._waiting.popleft())
        self._busy.set(self._slots.total - self._slots.free)
        if self._window < self._slots.total and self._wanted_window() != self._window:
            self._tender.wake()

    # --- the consumer ---

    async def _tend(self) -> None:
        """Makes the consumer what it should be."""
        wanted = self._wanted_window()
        if wanted == self._window:
            return
        try:
            async with asyncio.timeout(_RPC_TIMEOUT_SECONDS):
                await self._set_window(wanted)
        except Exception as error:
            # Not raised: the loop would wait longer and longer, and a free slot should not wait.
            log.warning("gpu_worker.intake.not_changed", model=self.model_id, error=repr(error))

    def _wanted_window(self) -> int:
        free = self._slots.free
        if self._stopping or self._out_of_patience():
            return 0
        if self._window == 0:
            return max(0, free)
        grown = free >= 2 * self._window or (free == self._slots.total and self._window < free)
        return free if grown else self._window

    def _out_of_patience(self) -> bool:
        waited_seconds = self._waiting[0].age_seconds if self._waiting else 0.0
        return max(waited_seconds, self._slots.full_seconds) >= self._patience_seconds

    async def _set_window(self, window: int) -> None:
        rabbit = self._rabbit
        assert rabbit is not None
        if self._window > 0 or await consumes(rabbit, self._tag):
            await rabbit.cancel(self._tag)
            self._window = 0
            await self._hand_back_waiting()
        if window > 0:
            await rabbit.channel.set_qos(prefetch_count=window)
            # Never the same tag twice on a channel: RabbitMQ before 3.10.9 closes the connection (rabbitmq-server #5927).
            self._tag = f"{self._name}.{next(self._numbers)}"
            await rabbit.consume(self._on_message, consumer_tag=self._tag)
            if (
                rabbit is self._rabbit
            ):  # else the session was replaced meanwhile, and in the new one nothing is consumed yet
                self._window = window

    async def _hand_back_waiting(self) -> None:
        while self._waiting:
            HANDED_BACK.labels(model=self.model_id).inc()
            await self._waiting.popleft().hand_back()

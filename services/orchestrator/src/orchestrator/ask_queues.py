"""Every few seconds: how much waits in the queues, for how many consumers, and among the dead letters – as RabbitMQ has it.

Asked by passive declaration, which needs neither a plugin of the broker nor a permission (AMQP 0-9-1, `queue.declare`).
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from aio_pika.exceptions import ChannelNotFoundEntity

from contracts.ids import ModelId
from contracts.topology import SHARED_QUEUES, DeadLetterQueue, Queue, QueueKind, worker_tasks
from orchestrator import metrics
from orchestrator.freshness import Freshness
from service_kit.bus import Bus


class _Depth(NamedTuple):
    ready: int
    consumers: int


class AskQueues:
    """One step asks for all of them: those with fixed names, and the task queue of each model."""

    def __init__(self, bus: Bus, models: Callable[[], Iterable[ModelId]], *, stale_after_seconds: float) -> None:
        self._bus = bus
        self._models = models
        self._freshness = Freshness("queues", _remove, stale_after_seconds=stale_after_seconds)

    async def __call__(self) -> None:
        # In a stream nothing waits: what was read stays in it.
        queues = [queue for queue in SHARED_QUEUES if queue.kind is not QueueKind.STREAM]
        queues += map(worker_tasks, sorted(self._models()))
        dead = {DeadLetterQueue(queue).name: queue for queue in queues if queue.keeps_dead_letters}
        with self._freshness.renewed():
            depths = await self._ask([*(queue.name for queue in queues), *dead])
        _show(depths, queues, dead)

    async def _ask(self, names: Iterable[str]) -> dict[str, _Depth]:
        """Those that are there. One that is not – nobody has ever served its model – is no error, but ends the channel on which
        it was asked for; the next ones are asked for on another."""
        depths: dict[str, _Depth] = {}
        left = deque(names)
        while left:
            try:
                async with self._bus.question() as channel:
                    while left:
                        name = left.popleft()
                        declared = (await channel.declare_queue(name, passive=True)).declaration_result
                        depths[name] = _Depth(declared.message_count or 0, declared.consumer_count or 0)
            except ChannelNotFoundEntity:
                continue
        return depths


def _show(depths: dict[str, _Depth], queues: Iterable[Queue], dead: dict[str, Queue]) -> None:
    """Without a break, as the census of jobs."""
    _remove()
    for queue in queues:
        if (depth := depths.get(queue.name)) is not None:
            metrics.QUEUE_READY.labels(queue=queue.name).set(depth.ready)
            metrics.QUEUE_CONSUMERS.labels(queue=queue.name).set(depth.consumers)
    for name, source in dead.items():
        if (depth := depths.get(name)) is not None:
            metrics.DEAD_LETTERS_WAITING.labels(queue=source.name).set(depth.ready)


def _remove() -> None:
    for gauge in metrics.CENSUS_OF_QUEUES:
        gauge.clear()

"""Which models a worker serves at this moment, from the workers' heartbeats."""

from contracts.ids import ModelId, WorkerId
from contracts.workers import WorkerHeartbeat

_INTERVALS_UNTIL_LOST = 3


class ServedModels:
    """Believes a worker for three of its heartbeat intervals. One that is stopping takes no jobs and so serves nothing."""

    def __init__(self) -> None:
        self._workers: dict[WorkerId, tuple[float, frozenset[ModelId]]] = {}

    def hear(self, heartbeat: WorkerHeartbeat, now: float) -> None:
        """`now` in seconds of a monotonic clock, as for `at`."""
        if heartbeat.stopping:
            self._workers.pop(heartbeat.worker_id, None)
            return
        believed_until = now + _INTERVALS_UNTIL_LOST * heartbeat.interval_seconds
        self._workers[heartbeat.worker_id] = believed_until, frozenset(model.model_id for model in heartbeat.models)

    def at(self, now: float) -> frozenset[ModelId]:
        self._workers = {worker: entry for worker, entry in self._workers.items() if entry[0] > now}
        return frozenset().union(*(models for _, models in self._workers.values()))

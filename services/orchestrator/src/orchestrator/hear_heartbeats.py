"""Heartbeats renew leases. They change no job, so they take a shorter way than the lifecycle, as one statement for many."""

from collections.abc import Callable, Iterator, Sequence

from contracts.failures import FailureCode
from contracts.states import AttemptStatus
from contracts.workers import WorkerHeartbeat
from orchestrator import store
from orchestrator.decision import Abort
from orchestrator.fold import Outbound
from orchestrator.relay import Relay
from orchestrator.store import NamedAttempt
from service_kit.database import Pool


class HearHeartbeats:
    """Renews the lease of every attempt a worker names, notes what it serves, and tells it which attempts to let go of."""

    def __init__(
        self, pool: Pool, relay: Relay, on_new_worker: Callable[[], None], *, lease_ttl_seconds: float
    ) -> None:
        self._pool = pool
        self._relay = relay
        self._on_new_worker = on_new_worker
        self._lease_ttl_seconds = lease_ttl_seconds

    async def __call__(self, heartbeats: list[WorkerHeartbeat]) -> Sequence[None]:
        latest = {heartbeat.worker_id: heartbeat for heartbeat in sorted(heartbeats, key=lambda h: h.sent_at)}
        held = [(worker_id, attempt_id) for worker_id, h in latest.items() for attempt_id in h.attempts]
        async with self._pool.acquire() as connection:
            new = await store.see_workers(connection, [_worker_row(heartbeat) for heartbeat in latest.values()])
            known = await store.renew_leases(connection, held, self._lease_ttl_seconds)
        if new:
            self._on_new_worker()
        self._relay.offer(Outbound(aborts=tuple(_to_let_go(known))))
        return [None] * len(heartbeats)


def _to_let_go(known: Sequence[NamedAttempt]) -> Iterator[Abort]:
    """Attempts that are over, another worker's, or being cancelled (an abort may get lost; this repeats it).

    An attempt that is still DISPATCHED is left alone: its start is on its way, by another queue than the heartbeat.
    """
    for attempt in known:
        worker_id = attempt.named_by
        foreign = attempt.status is AttemptStatus.STARTED and attempt.worker_id != worker_id
        if attempt.status.is_over or foreign:
            yield Abort(worker_id, attempt.job_id, attempt.attempt_id, FailureCode.WORKER_LOST)
        elif attempt.cancel_requested:
            yield Abort(worker_id, attempt.job_id, attempt.attempt_id, FailureCode.CANCELLED)


def _worker_row(heartbeat: WorkerHeartbeat) -> dict[str, object]:
    return {
        "worker_id": heartbeat.worker_id,
        "models": {served.model_id: served.slots for served in heartbeat.models},
        "stopping": heartbeat.stopping,
        "interval_seconds": heartbeat.interval_seconds,
    }

"""The group commit: everything that arrived since the last one, decided in memory and made true in one transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from contracts.ids import ModelId
from contracts.states import AttemptStatus
from orchestrator import store
from orchestrator.availability import Availability
from orchestrator.fold import Fold, job_id_of
from orchestrator.lifecycle import Input, Rules, Verdict
from orchestrator.metrics import BATCH_SIZE, COMMIT_SECONDS, VERDICTS
from orchestrator.relay import Relay
from orchestrator.scheduling import choose, window_room
from service_kit.batcher import Batcher
from service_kit.crash_points import crash_point
from service_kit.database import Connection, Pool
from service_kit.ids import new_uuid

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Said:
    """A message about a job, with the trace context it came with."""

    message: Input
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class FillWindow:
    """Something changed outside the jobs: a worker came, a back-off ended. See whether more of this model can be dispatched."""

    model_id: ModelId


Item: TypeAlias = Said | FillWindow
Commits: TypeAlias = Batcher[Item, Verdict]


class CommitBatch:
    """Load the touched jobs, fold the messages through `decide`, fill the dispatch windows, write, commit – then speak.

    The senders' deliveries are acknowledged after this returns. If it raises, nothing happened.
    """

    def __init__(
        self, pool: Pool, relay: Relay, availability: Availability, rules: Rules, *, window_per_slot: float
    ) -> None:
        self._pool = pool
        self._relay = relay
        self._availability = availability
        self._rules = rules
        self._window_per_slot = window_per_slot

    async def __call__(self, batch: list[Item]) -> Sequence[Verdict]:
        BATCH_SIZE.observe(len(batch))
        confirmed = self._relay.confirmed_events()
        with COMMIT_SECONDS.time():
            async with self._pool.acquire() as connection, connection.transaction():
                fold, verdicts = await self._fold(connection, batch)
                await self._fill_windows(connection, fold, batch)
                await store.write(connection, fold, confirmed)
                if fold.retell:
                    await store.mark_unpublished(connection, fold.retell)
        crash_point("orchestrator.after_commit_before_publish")
        self._relay.recorded(confirmed)
        self._relay.offer(fold.outbound())
        self._count(batch, verdicts)
        return verdicts

    async def _fold(self, connection: Connection, batch: list[Item]) -> tuple[Fold, list[Verdict]]:
        said = [item for item in batch if isinstance(item, Said)]
        now = await store.take_commit_lock(connection)
        loaded = await store.load_jobs(connection, {job_id_of(item.message) for item in said}) if said else {}
        fold = Fold(loaded, now, self._rules)
        verdicts = [
            fold.apply(item.message, item.traceparent) if isinstance(item, Said) else Verdict.APPLIED for item in batch
        ]
        return fold, verdicts

    async def _fill_windows(self, connection: Connection, fold: Fold, batch: list[Item]) -> None:
        models = {item.model_id for item in batch if isinstance(item, FillWindow)}
        models |= fold.models_with_new_room_or_work()
        for model_id in sorted(models & self._availability.served):
            await self._fill_window(connection, fold, model_id)

    async def _fill_window(self, connection: Connection, fold: Fold, model_id: ModelId) -> None:
        usage = await store.usage(connection, model_id)
        dispatched = fold.usage_change(model_id, AttemptStatus.DISPATCHED)
        active = Counter(dispatched)
        active.update(fold.usage_change(model_id, AttemptStatus.STARTED))  # unlike `+`, keeps what became fewer
        for user in usage:
            dispatched[user.user_id] += user.dispatched
            active[user.user_id] += user.active
        room = window_room(self._availability.slots(model_id), self._window_per_slot, dispatched.total())
        if room == 0:
            return
        stored = await store.waiting(connection, model_id, fold.now, room)
        untouched = [candidate for candidate in stored if candidate.job_id not in fold.jobs]
        chosen = choose([*untouched, *fold.waiting(model_id)], active, room)
        fold.load(await store.load_jobs(connection, [c.job_id for c in chosen if c.job_id not in fold.jobs]))
        for candidate in chosen:
            fold.dispatch(candidate.job_id, new_uuid())

    def _count(self, batch: list[Item], verdicts: list[Verdict]) -> None:
        for item, verdict in zip(batch, verdicts, strict=True):
            if isinstance(item, Said):
                kind = type(item.message).__name__
                VERDICTS.labels(message=kind, verdict=verdict).inc()
                if verdict not in {Verdict.APPLIED, Verdict.NOT_DUE}:
                    log.info(
                        "orchestrator.message.ignored",
                        message=kind,
                        verdict=verdict,
                        job_id=str(job_id_of(item.message)),
                    )

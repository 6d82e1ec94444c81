"""The group commit: everything that arrived since the last one, decided in memory and made true in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from contracts.ids import ModelId
from orchestrator import store
from orchestrator.decision import Input, Rules, Verdict
from orchestrator.fill_windows import FillWindows
from orchestrator.fold import Fold, job_id_of
from orchestrator.metrics import BATCH_SIZE, COMMIT_SECONDS, VERDICTS
from orchestrator.relay import Relay
from service_kit.batcher import Batcher
from service_kit.crash_points import crash_point
from service_kit.database import Connection, Pool

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

    The senders' deliveries are acknowledged after this returns. If it raises, nothing happened – or the answer to a COMMIT was
    lost: then the senders say it again, which changes nothing, and the relay's sweep finds the events.
    """

    def __init__(self, pool: Pool, relay: Relay, fill_windows: FillWindows, rules: Rules) -> None:
        self._pool = pool
        self._relay = relay
        self._fill_windows = fill_windows
        self._rules = rules

    async def __call__(self, batch: list[Item]) -> Sequence[Verdict]:
        BATCH_SIZE.observe(len(batch))
        confirmed = self._relay.confirmed_events()
        with COMMIT_SECONDS.time():
            async with self._pool.acquire() as connection, store.commit_turn(connection):
                fold, verdicts = await self._fold(connection, batch)
                anyway = {item.model_id for item in batch if isinstance(item, FillWindow)}
                await self._fill_windows(connection, fold, anyway)
                await store.write(connection, fold, confirmed)
                if fold.retell:
                    fold.events += await store.log_of(connection, fold.retell)
                crash_point("orchestrator.before_commit")
        crash_point("orchestrator.after_commit_before_publish")
        self._relay.recorded(confirmed)
        self._relay.offer(fold.outbound())
        self._count(batch, verdicts)
        return verdicts

    async def _fold(self, connection: Connection, batch: list[Item]) -> tuple[Fold, list[Verdict]]:
        said = [item for item in batch if isinstance(item, Said)]
        now, loaded = await store.load_batch(connection, {job_id_of(item.message) for item in said})
        fold = Fold(loaded, now, self._rules)
        verdicts = [
            fold.apply(item.message, item.traceparent) if isinstance(item, Said) else Verdict.APPLIED for item in batch
        ]
        return fold, verdicts

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

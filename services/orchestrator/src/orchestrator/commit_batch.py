"""The group commit: everything that arrived since the last one, decided in memory and made true in one transaction."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog

from contracts.ids import ModelId
from orchestrator import store
from orchestrator.commit_spans import CommitSpans
from orchestrator.count_changes import count_changes
from orchestrator.decision import Input, Rules, Verdict
from orchestrator.fill_windows import FillWindows
from orchestrator.fold import Fold, job_id_of
from orchestrator.metrics import BATCH_SIZE, COMMIT_SECONDS, verdicts_of
from orchestrator.relay import Relay
from service_kit.batcher import Batcher
from service_kit.crash_points import crash_point
from service_kit.database import Connection, Pool
from service_kit.logging.budget import Budget

log = structlog.get_logger()

_IGNORED_AT_ONCE = 20
_IGNORED_PER_SECOND = 1
"""Lines about messages that change nothing. After a broker's reset everything is said again."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message about a job, with the trace context it came with."""

    message: Input
    traceparent: str | None = None
    heard_ns: int = field(default_factory=time.time_ns, compare=False)


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
        self._ignored = Budget(_IGNORED_AT_ONCE, _IGNORED_PER_SECOND)

    async def __call__(self, batch: list[Item]) -> Sequence[Verdict]:
        confirmed = self._relay.confirmed_events()
        with COMMIT_SECONDS.time(), CommitSpans() as spans:
            async with self._pool.acquire() as connection, store.commit_turn(connection):
                fold, verdicts = await self._fold(connection, batch, spans)
                anyway = {item.model_id for item in batch if isinstance(item, FillWindow)}
                await self._fill_windows(connection, fold, anyway)
                await store.write(connection, fold, confirmed)
                if fold.retell:
                    fold.events += await store.log_of(connection, fold.retell)
                crash_point("orchestrator.before_commit")
        crash_point("orchestrator.after_commit_before_publish")
        self._relay.recorded(confirmed)
        self._relay.offer(fold.outbound())
        count_changes(fold)
        self._count(batch, verdicts)
        spans.decided(fold, ((i.message, v) for i, v in zip(batch, verdicts, strict=True) if isinstance(i, Said)))
        return verdicts

    async def _fold(self, connection: Connection, batch: list[Item], spans: CommitSpans) -> tuple[Fold, list[Verdict]]:
        said = [item for item in batch if isinstance(item, Said)]
        now, loaded = await store.load_batch(connection, {job_id_of(item.message) for item in said})
        fold = Fold(loaded, now, self._rules)

        def apply(item: Said) -> Verdict:
            job = fold.jobs.get(job_id_of(item.message))
            return fold.apply(item.message, spans.cause_of(item.message, item.traceparent, item.heard_ns, job))

        return fold, [apply(item) if isinstance(item, Said) else Verdict.APPLIED for item in batch]

    def _count(self, batch: list[Item], verdicts: list[Verdict]) -> None:
        BATCH_SIZE.observe(len(batch))
        for item, verdict in zip(batch, verdicts, strict=True):
            if isinstance(item, Said):
                kind = type(item.message).__name__
                verdicts_of(kind, verdict).inc()
                if verdict not in {Verdict.APPLIED, Verdict.NOT_DUE} and (more := self._ignored.take()) is not None:
                    job_id = str(job_id_of(item.message))
                    log.info("orchestrator.message.ignored", message=kind, verdict=verdict, job_id=job_id, **more)

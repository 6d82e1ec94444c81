"""Puts attempts on the bus again that it has lost: a broker that was reset, or a crash between commit and publish."""

import time
from datetime import timedelta
from typing import NamedTuple

import structlog

from contracts.ids import AttemptId, ModelId
from contracts.topology import worker_tasks
from orchestrator import store
from orchestrator.availability import Availability
from orchestrator.job import Job
from orchestrator.metrics import SAID_AGAIN
from orchestrator.relay import Relay
from service_kit.bus import Bus
from service_kit.database import Pool
from service_kit.errors import is_operational

log = structlog.get_logger()

_LONGEST_WAIT = 16
"""Times the first."""


class _Said(NamedTuple):
    wait_seconds: float
    again_at: float
    """By the monotonic clock."""


class SayLostTasksAgain:
    """A task is lost if its queue is empty, or if workers have long been taking tasks that were dispatched after it.

    One that merely waits behind a long job is in its queue, and left there. Its copies are fenced, but each takes a slot for a
    moment: a task that was said again is given twice as long each time, up to 16 × `redispatch_after`.
    """

    def __init__(
        self, pool: Pool, bus: Bus, relay: Relay, availability: Availability, *, redispatch_after: timedelta
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._relay = relay
        self._availability = availability
        self._redispatch_after = redispatch_after
        self._said: dict[ModelId, dict[AttemptId, _Said]] = {}

    async def __call__(self) -> None:
        for model_id in sorted(self._availability.served):
            try:
                await self._look(model_id)
            except Exception as error:
                if not is_operational(error):
                    raise
                # One model whose queue cannot be reached must not keep the others waiting.
                log.warning("orchestrator.attempts.not_said_again", model=model_id, error=repr(error))

    async def _look(self, model_id: ModelId) -> None:
        async with self._pool.acquire() as connection:
            overtaken, others = await store.long_dispatched(connection, model_id, self._redispatch_after)
        lost = overtaken
        if others and await self._bus.ready_messages(worker_tasks(model_id)) == 0:
            lost = overtaken + others
        said, now = self._said.get(model_id, {}), time.monotonic()
        due = [job for job in lost if (before := said.get(_attempt_id(job))) is None or before.again_at <= now]
        if due:
            SAID_AGAIN.inc(len(due))
            log.warning("orchestrator.attempts.said_again", model=model_id, count=len(due))
            await self._relay.publish_tasks(due)
        for attempt_id in map(_attempt_id, due):
            said[attempt_id] = self._next(said.get(attempt_id), now)
        on_the_bus = set(map(_attempt_id, overtaken + others))
        self._said[model_id] = {attempt_id: said[attempt_id] for attempt_id in said.keys() & on_the_bus}

    def _next(self, before: "_Said | None", now: float) -> "_Said":
        first = self._redispatch_after.total_seconds()
        wait = first if before is None else min(before.wait_seconds * 2, first * _LONGEST_WAIT)
        return _Said(wait, now + wait)


def _attempt_id(job: Job) -> AttemptId:
    assert job.current is not None
    return job.current.attempt_id

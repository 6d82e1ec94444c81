"""Puts attempts on the bus again that it has lost: a broker that was reset, or a crash between commit and publish."""

import time
from datetime import timedelta

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


class SayLostTasksAgain:
    """A task is lost if its queue is empty, or if workers have long been taking tasks that were dispatched after it.

    One that merely waits behind a long job is in its queue, and left there. Saying a task too often is harmless: its copies are
    fenced. It is said at most once per `redispatch_after`.
    """

    def __init__(
        self, pool: Pool, bus: Bus, relay: Relay, availability: Availability, *, redispatch_after: timedelta
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._relay = relay
        self._availability = availability
        self._redispatch_after = redispatch_after
        self._said_at: dict[AttemptId, float] = {}

    async def __call__(self) -> None:
        self._forget_long_said()
        for model_id in sorted(self._availability.served):
            try:
                await self._look(model_id)
            except Exception as error:
                if not is_operational(error):
                    raise
                # One model whose queue cannot be reached must not keep the others waiting.
                log.warning("orchestrator.attempts.not_said_again", model_id=model_id, error=repr(error))

    async def _look(self, model_id: ModelId) -> None:
        async with self._pool.acquire() as connection:
            overtaken, others = await store.long_dispatched(connection, model_id, self._redispatch_after)
        lost = overtaken
        if others and await self._bus.ready_messages(worker_tasks(model_id)) == 0:
            lost = overtaken + others
        unsaid = [job for job in lost if _attempt_id(job) not in self._said_at]
        if unsaid:
            SAID_AGAIN.inc(len(unsaid))
            log.warning("orchestrator.attempts.said_again", model_id=model_id, count=len(unsaid))
            await self._relay.publish_tasks(unsaid)
            self._said_at |= dict.fromkeys(map(_attempt_id, unsaid), time.monotonic())

    def _forget_long_said(self) -> None:
        long_ago = time.monotonic() - self._redispatch_after.total_seconds()
        self._said_at = {attempt_id: at for attempt_id, at in self._said_at.items() if at > long_ago}


def _attempt_id(job: Job) -> AttemptId:
    assert job.current is not None
    return job.current.attempt_id

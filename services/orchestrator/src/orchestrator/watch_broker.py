"""Watches whether the broker still remembers, and tells again what it may have forgotten."""

from datetime import datetime, timedelta

import structlog

from contracts.topology import EVENT_QUEUES
from orchestrator import store
from orchestrator.metrics import BROKER_RESETS, RETOLD
from orchestrator.relay import Relay
from service_kit.bus import Bus
from service_kit.crash_points import crash_point
from service_kit.database import Pool
from service_kit.errors import is_operational
from service_kit.keepsake import BrokerMemory

log = structlog.get_logger()

_SPAN = timedelta(seconds=5)


class WatchBroker:
    """A broker that was reset confirmed events which their subscribers will never get. PostgreSQL still has them.

    While all is well it notes, every step, until when every subscriber has heard everything: the moment at which every queue of
    events was empty. Once the keepsake is gone, the events since then are published again, in order and at least once. The
    progress is stored, so that a replica that dies in the middle is continued by another.

    Requests and tasks are none of its business: gateways repeat the former, `say_lost_tasks_again` the latter.
    """

    def __init__(self, pool: Pool, bus: Bus, relay: Relay, memory: BrokerMemory, *, margin: timedelta) -> None:
        self._pool = pool
        self._bus = bus
        self._relay = relay
        self._memory = memory
        self._margin = margin

    async def __call__(self) -> None:
        asked_at: datetime = await self._pool.fetchval("SELECT clock_timestamp()")
        # In this order: empty queues mean something only if the broker had its memory after they were seen.
        heard = await self._every_event_was_taken()
        if not await self._memory.is_intact():
            await self._begin_generation()
        elif heard:
            await self._note_all_heard(asked_at)
        await self.learn_generation()
        while await self._retell_a_span():
            pass

    async def learn_generation(self) -> None:
        async with self._pool.acquire() as connection:
            self._relay.broker_generation = await store.generation(connection)

    async def _every_event_was_taken(self) -> bool:
        try:
            return await self._bus.ready_messages(*EVENT_QUEUES) == 0
        except Exception as error:
            if not is_operational(error):
                raise
            return False  # a queue is missing: its consumer has not come back to the broker yet

    async def _note_all_heard(self, at: datetime) -> None:
        async with self._pool.acquire() as connection:
            await store.note_all_heard(connection, at)

    async def _begin_generation(self) -> None:
        # Raises where a queue is missing: told too early, an event would miss its subscriber.
        await self._bus.ensure_declared()
        # After every mark that the last generation made: one still under way would be neither unpublished nor told again.
        async with self._pool.acquire() as connection, store.commit_turn(connection):
            since = await store.begin_generation(connection, self._margin)
        crash_point("orchestrator.after_generation_before_keepsake")
        # Only now: a crash in between begins another generation, which tells too much rather than too little.
        await self._memory.leave()
        if since is not None:
            BROKER_RESETS.inc()
            log.error("orchestrator.broker_reset.noticed", retell_from=since.isoformat())

    async def _retell_a_span(self) -> bool:
        """Whether there may be more."""
        async with self._pool.acquire() as connection, connection.transaction():
            events = await store.take_span_to_retell(connection, _SPAN)
            if events:
                await self._relay.tell(events)
                crash_point("orchestrator.after_retell_before_progress")
                RETOLD.inc(len(events))
                log.info("orchestrator.events.retold", count=len(events))
        return events is not None

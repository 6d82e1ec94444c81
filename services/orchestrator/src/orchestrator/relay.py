"""The relay: says on the bus what a commit made true, in the order of the commits.

`job_events` is the outbox. The usual way is short: the commit hands its events over in memory, they are published at once and
marked with the next commit. Whatever a crash or an outage leaves unmarked is found by `publish_left_behind` and said then. Either
way the event's id is the same, and consumers drop what they have seen: at least once, in order of `seq` after that.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import structlog

from contracts.attempts import AbortAttempt, RunAttempt
from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import JobId
from contracts.jobs import JOB_EVENTS, JobEvent
from contracts.topology import abort_attempt_key, run_attempt_key
from orchestrator import store
from orchestrator.decision import Abort
from orchestrator.fold import Outbound
from orchestrator.job import Job
from orchestrator.metrics import LEFT_BEHIND
from orchestrator.rows import TracedEvent
from orchestrator.store import Confirmed
from service_kit.batcher import Batcher
from service_kit.bus import Bus
from service_kit.crash_points import crash_point
from service_kit.database import Pool
from service_kit.errors import BusUnavailableError

log = structlog.get_logger()

SOURCE = "/orchestrator"
_LEFT_BEHIND_AT_ONCE = 1000
_EVENTS_PER_MESSAGE = 200
"""Of at most about 70 KB each: RabbitMQ 4 refuses messages of more than 16 MiB."""
_RANK = {event_type: rank for rank, event_type in enumerate(JOB_EVENTS)}


class Relay:
    def __init__(self, bus: Bus, pool: Pool) -> None:
        self._bus = bus
        self._pool = pool
        self._publications: Batcher[Outbound, None] = Batcher(self._publish, max_batch=1000)
        self._confirmed: dict[tuple[JobId, int], Confirmed] = {}
        self._in_hand: set[tuple[JobId, int]] = set()
        """Events offered and not yet published: not left behind, only waiting for their turn."""
        self._under_way: set[asyncio.Task[None]] = set()
        self.broker_generation = 0
        """Which life of the broker is being spoken to, as far as is known here; what an earlier one confirmed does not count."""

    def offer(self, outbound: Outbound) -> None:
        """Publishes in the background, after everything offered before."""
        if outbound:
            self._in_hand.update(_key(event) for event, _ in outbound.events)
            task = asyncio.create_task(self._publications.submit(outbound))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def confirmed_events(self) -> list[Confirmed]:
        """Events the broker has, of which the database does not know it yet."""
        return list(self._confirmed.values())

    def recorded(self, events: Sequence[Confirmed]) -> None:
        """The database knows of these."""
        for event in events:  # a commit and `record_confirmed` may both have recorded one
            self._confirmed.pop((event.job_id, event.seq), None)

    async def close(self) -> None:
        """Says what was offered and records it."""
        await self._publications.close()
        await self.record_confirmed()

    async def record_confirmed(self) -> None:
        """For quiet times, when no commit comes by to record them."""
        confirmed = self.confirmed_events()
        if confirmed:
            async with self._pool.acquire() as connection, store.commit_turn(connection):
                await store.mark_published(connection, confirmed)
            self.recorded(confirmed)

    async def publish_left_behind(self, patience_seconds: float) -> None:
        """Publishes events that were committed longer ago and never confirmed."""
        await self.record_confirmed()
        while await self._publish_some_left_behind(patience_seconds):
            pass

    async def _publish_some_left_behind(self, patience_seconds: float) -> bool:
        """Whether there may be more."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await store.take_turn_as_sweeper(connection):
                return False
            found = await store.unpublished(connection, patience_seconds, _LEFT_BEHIND_AT_ONCE)
            left = [traced for traced in found if _key(traced[0]) not in self._in_hand]
            if left:
                LEFT_BEHIND.inc(len(left))
                log.warning("orchestrator.events.left_behind", count=len(left))
                await self.publish_events(left)
                await self.record_confirmed()
            return len(left) == _LEFT_BEHIND_AT_ONCE

    async def _publish(self, offered: list[Outbound]) -> Sequence[None]:
        events = [event for outbound in offered for event in outbound.events]
        results = await asyncio.gather(
            self.publish_tasks([job for outbound in offered for job in outbound.dispatched]),
            self._publish_aborts([abort for outbound in offered for abort in outbound.aborts]),
            self.publish_events(events),
            return_exceptions=True,
        )
        self._in_hand.difference_update(_key(event) for event, _ in events)
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            # Nothing is lost: events are in the log, tasks in the table of attempts, aborts are repeated at heartbeats.
            log.warning("orchestrator.relay.failed", error=repr(failure))
            if not isinstance(failure, BusUnavailableError):
                raise failure
        return [None] * len(offered)

    async def publish_events(self, events: Sequence[TracedEvent]) -> None:
        """Returns once the broker has them all. Raises if it does not: then it may have some."""
        generation = self.broker_generation  # before publishing: afterwards it may be another's
        await self.tell(events)
        crash_point("orchestrator.after_publish_before_mark")
        self._confirmed |= {_key(event): Confirmed(event.job_id, event.seq, generation) for event, _ in events}

    async def tell(self, events: Iterable[TracedEvent]) -> None:
        """Publishes events, of which nothing is recorded: as when they are told again."""
        # One channel keeps the order of the messages.
        await asyncio.gather(*(self._bus.publish(kind, batch) for kind, batch in _messages(events)))

    async def publish_tasks(self, jobs: Iterable[Job]) -> None:
        """One message per attempt: they are for different workers."""
        await asyncio.gather(*(self._publish_task(job) for job in jobs))

    async def _publish_task(self, job: Job) -> None:
        await self._bus.publish(RunAttempt, [_task(job)], routing_key=run_attempt_key(job.spec.model_id))
        crash_point("orchestrator.after_task_said_before_mark")

    async def _publish_aborts(self, aborts: Iterable[Abort]) -> None:
        # Not mandatory: the worker may be gone, and then there is nothing to abort.
        await asyncio.gather(
            *(
                self._bus.publish(
                    AbortAttempt, [_abort(abort)], routing_key=abort_attempt_key(abort.worker_id), durable=False
                )
                for abort in aborts
            )
        )


def _messages(
    events: Iterable[tuple[JobEvent, str | None]],
) -> list[tuple[type[JobEvent], list[CloudEvent[JobEvent]]]]:
    """The events as few messages of one type each, so that every job's events keep their order.

    A life runs through the types in their order, and where it steps back (a second start, after a retry) a new round begins.
    """
    rounds: dict[tuple[int, int], list[CloudEvent[JobEvent]]] = defaultdict(list)
    latest: dict[JobId, tuple[int, int]] = {}
    for event, traceparent in events:
        rank = _RANK[type(event)]
        round_, last_rank = latest.get(event.job_id, (0, 0))
        latest[event.job_id] = place = (round_ + (rank < last_rank), rank)
        rounds[place].append(_event(event, traceparent))
    return [
        (JOB_EVENTS[rank], rounds[round_, rank][start : start + _EVENTS_PER_MESSAGE])
        for round_, rank in sorted(rounds)
        for start in range(0, len(rounds[round_, rank]), _EVENTS_PER_MESSAGE)
    ]


def _key(event: JobEvent) -> tuple[JobId, int]:
    return event.job_id, event.seq


def _event(event: JobEvent, traceparent: str | None) -> CloudEvent[JobEvent]:
    return wrap(
        event,
        event_id=f"{event.job_id}/{event.seq}",
        source=SOURCE,
        subject=str(event.job_id),
        time=event.occurred_at,
        traceparent=traceparent,
    )


def _task(job: Job) -> CloudEvent[RunAttempt]:
    attempt, spec = job.current, job.spec
    assert attempt is not None
    return wrap(
        RunAttempt(
            job_id=job.job_id,
            attempt_id=attempt.attempt_id,
            attempt=attempt.number,
            user_id=spec.user_id,
            model_id=spec.model_id,
            input_params=spec.input_params,
            prompt=spec.prompt,
            input_object=spec.input_object,
            execution_timeout_seconds=spec.policy.execution_timeout_seconds,
        ),
        event_id=f"{attempt.attempt_id}/run",
        source=SOURCE,
        subject=str(job.job_id),
        time=attempt.dispatched_at,
        traceparent=job.traceparent,
    )


def _abort(abort: Abort) -> CloudEvent[AbortAttempt]:
    return wrap(
        AbortAttempt(job_id=abort.job_id, attempt_id=abort.attempt_id, reason=abort.reason),
        event_id=f"{abort.attempt_id}/abort",
        source=SOURCE,
        subject=str(abort.job_id),
        time=datetime.now(UTC),
        traceparent=abort.traceparent,
    )

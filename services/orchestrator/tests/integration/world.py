"""Everybody the orchestrator talks to: a gateway that asks and listens, and workers that take tasks and report."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from services.orchestrator.tests.builders import MODEL, WORKER, requested

from contracts import topology
from contracts.attempts import AbortAttempt, RunAttempt
from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import AttemptId, JobId, ModelId, WorkerId
from contracts.jobs import JOB_EVENTS, JobEvent, JobSpec
from contracts.message import Message
from contracts.workers import ServedModel, WorkerHeartbeat
from service_kit.bus import Bus

E = TypeVar("E", bound=JobEvent)

NEVER_AGAIN = 3600.0
"""A heartbeat with this interval keeps its worker alive for longer than any test."""


class World:
    """`start` connects it; what it hears it keeps, and `told`, `next_task` and `next_abort` wait for more."""

    def __init__(self, broker_url: str, *, worker_id: WorkerId = WORKER, takes_tasks: bool = True) -> None:
        self.bus = Bus(broker_url, service="world")
        self.heard: list[CloudEvent[JobEvent]] = []
        self._more = asyncio.Condition()
        self._tasks: asyncio.Queue[RunAttempt] = asyncio.Queue()
        self._aborts: asyncio.Queue[AbortAttempt] = asyncio.Queue()
        for event_type in JOB_EVENTS:
            self.bus.on(topology.GATEWAY_PROJECTION, event_type)(self._on_job_events)
        self.bus.on(topology.worker_control(worker_id), AbortAttempt)(self._on_abort_attempt)
        if takes_tasks:
            self.bus.on(topology.worker_tasks(MODEL), RunAttempt)(self._on_run_attempt)

    # --- the gateway ---

    async def request(self, *specs: JobSpec, traceparent: str | None = None) -> None:
        await self.say(*map(requested, specs), traceparent=traceparent)

    async def told(self, job_id: JobId, event_type: type[E], *, times: int = 1) -> E:
        """The latest event of that type about the job, once it was told so often."""

        def of_that_type() -> list[E]:
            return [
                event.data for event in self.heard if event.data.job_id == job_id and type(event.data) is event_type
            ]

        return (await self._until(of_that_type, times))[-1]

    async def events_of(self, job_id: JobId, count: int) -> list[JobEvent]:
        """The job's events as they were first heard, once there are `count` different ones."""

        def distinct() -> list[JobEvent]:
            first: dict[str, JobEvent] = {}
            for event in self.heard:
                if event.data.job_id == job_id:
                    first.setdefault(event.id, event.data)
            return list(first.values())

        return await self._until(distinct, count)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for what `heard` must become."""
        async with asyncio.timeout(20), self._more:
            await self._more.wait_for(condition)

    async def _until(self, found: Callable[[], list[E]], count: int) -> list[E]:
        await self.until(lambda: len(found()) >= count)
        return found()

    async def _on_job_events(self, events: Sequence[CloudEvent[JobEvent]]) -> None:
        async with self._more:
            self.heard += events
            self._more.notify_all()

    # --- the workers ---

    async def heartbeat(
        self, *attempts: AttemptId, slots: int = 1, worker_id: WorkerId = WORKER, model_id: ModelId = MODEL
    ) -> None:
        await self.say(heartbeat(*attempts, slots=slots, worker_id=worker_id, model_id=model_id))

    async def next_task(self) -> RunAttempt:
        async with asyncio.timeout(20):
            return await self._tasks.get()

    async def next_abort(self) -> AbortAttempt:
        async with asyncio.timeout(20):
            return await self._aborts.get()

    async def _on_run_attempt(self, events: Sequence[CloudEvent[RunAttempt]]) -> None:
        for event in events:
            self._tasks.put_nowait(event.data)

    async def _on_abort_attempt(self, events: Sequence[CloudEvent[AbortAttempt]]) -> None:
        for event in events:
            self._aborts.put_nowait(event.data)

    # --- both ---

    async def say(self, *messages: Message, traceparent: str | None = None) -> None:
        """Publishes each on its own, one after the other."""
        for message in messages:
            event = wrap(
                message,
                event_id=str(uuid4()),
                source="/world",
                subject="test",
                time=datetime.now(UTC),
                traceparent=traceparent,
            )
            await self.bus.publish(type(message), [event], durable=not isinstance(message, WorkerHeartbeat))


def heartbeat(
    *attempts: AttemptId, slots: int = 1, worker_id: WorkerId = WORKER, model_id: ModelId = MODEL
) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        worker_id=worker_id,
        models=(ServedModel(model_id=model_id, slots=slots),),
        attempts=attempts,
        interval_seconds=NEVER_AGAIN,
        sent_at=datetime.now(UTC),
    )

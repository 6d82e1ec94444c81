"""A gateway that asks and cancels, and workers of every kind of luck and manners, over a bus that fails."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Any
from uuid import UUID

from services.orchestrator.tests.builders import (
    MODEL,
    OTHER_WORKER,
    OWNER,
    STRANGER,
    WORKER,
    a_spec,
    cancel,
    failed,
    requested,
    stage_changed,
    started,
    succeeded,
)
from services.orchestrator.tests.integration.world import heartbeat

from contracts import topology
from contracts.attempts import AbortAttempt, AttemptReport, RunAttempt
from contracts.cloudevents import CloudEvent, wrap
from contracts.failures import FailureCode
from contracts.ids import AttemptId, JobId, WorkerId
from contracts.jobs import JobSpec
from contracts.message import Message
from devstack.faults.bus import FaultyBus
from devstack.faults.plan import FaultPlan
from service_kit.errors import BusUnavailableError

_HEARTBEAT_INTERVAL_SECONDS = 0.15
_SLOTS = 2


class Conduct(StrEnum):
    """What a worker makes of a task."""

    SUCCEEDS = "succeeds"
    CRASHES = "crashes"
    REFUSES = "refuses"
    HANDS_BACK = "hands back"
    DIES_AT_ONCE = "dies at once"
    """Took the delivery and is gone: nobody ever hears of this copy of the task."""
    DIES = "dies"
    HANGS = "hangs"
    """Its heartbeats go on."""
    WAKES_UP_LATE = "wakes up late"
    """Silent for longer than its lease, then it reports a success."""


_MORTAL = {Conduct.DIES, Conduct.HANGS, Conduct.WAKES_UP_LATE}


@dataclass(frozen=True, slots=True)
class Manners:
    """What workers do, and how long the orchestrator waits for them."""

    conducts: tuple[Conduct, ...]
    lease_ttl_seconds: float
    execution_timeout_seconds: float


MORTAL = Manners((*Conduct, *[Conduct.SUCCEEDS] * 6), lease_ttl_seconds=0.6, execution_timeout_seconds=0.6)
RELIABLE = Manners(tuple(conduct for conduct in MORTAL.conducts if conduct not in _MORTAL), 600.0, 600.0)
"""Whoever starts also reports, and no timer comes to the rescue of a report that was heard and forgotten."""


class Population:
    def __init__(self, broker_url: str, plan: FaultPlan, manners: Manners) -> None:
        self._manners = manners
        self._bus = FaultyBus(broker_url, service="population", plan=plan, name="outside")
        self._seed = plan.seed
        self._random = Random(plan.seed)
        self._is_calm = False
        self.asked: list[JobSpec] = []
        self.successes: dict[AttemptId, set[WorkerId]] = defaultdict(set)
        """Who ever said of an attempt that it succeeded, heard or not."""
        self._held: dict[WorkerId, set[AttemptId]] = {WORKER: set(), OTHER_WORKER: set()}
        self._aborts: dict[tuple[WorkerId, AttemptId], asyncio.Event] = defaultdict(asyncio.Event)
        self._copies: Counter[AttemptId] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bus.on(topology.worker_tasks(MODEL), RunAttempt)(self._on_run_attempt)
        for worker_id in self._held:
            self._bus.on(topology.worker_control(worker_id), AbortAttempt)(self._on_abort_of(worker_id))

    async def start(self) -> None:
        await self._bus.start()
        self._keep(self._beat())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._bus.stop()

    def calm(self) -> None:
        """From here on every task that is taken succeeds."""
        self._is_calm = True

    # --- the gateway ---

    async def ask(self, count: int) -> None:
        """Returns once every request was confirmed, however often it had to be said, and every cancel."""
        jobs = [self._spec(number) for number in range(count)]
        await asyncio.gather(*(self._ask(spec) for spec in jobs))
        self.asked += jobs

    async def _ask(self, spec: JobSpec) -> None:
        draw = Random(f"{self._seed}/{spec.job_id}")
        gives_up = draw.random() < 0.25
        await asyncio.sleep(draw.uniform(0, 0.3))
        work = [self._say(requested(spec))]
        if gives_up:  # a cancel may overtake its request
            work.append(self._say(cancel(spec.job_id, spec.user_id), after_seconds=draw.uniform(0, 0.3)))
        await asyncio.gather(*work)

    def _spec(self, number: int) -> JobSpec:
        draw = Random(f"{self._seed}/{number}")
        return a_spec(
            UUID(int=draw.getrandbits(128), version=4),
            user_id=draw.choice((OWNER, STRANGER)),
            priority=draw.choice((0, 0, 5)),
            max_attempts=draw.randint(1, 4),
            execution_timeout_seconds=self._manners.execution_timeout_seconds,
            queue_timeout_seconds=draw.choice((None, None, None, 0.3)),
            retry_backoff_seconds=draw.choice((0.0, 0.05)),
        )

    # --- the workers ---

    async def _on_run_attempt(self, events: Sequence[CloudEvent[RunAttempt]]) -> None:
        for event in events:
            worker_id, task = self._random.choice(tuple(self._held)), event.data
            self._copies[task.attempt_id] += 1
            if task.attempt_id not in self._held[worker_id]:
                self._keep(self._run(worker_id, task, self._conduct(task)))

    def _conduct(self, task: RunAttempt) -> Conduct:
        if self._is_calm:
            return Conduct.SUCCEEDS
        copy = self._copies[task.attempt_id]
        return Random(f"{self._seed}/{task.job_id}/{task.attempt}/{copy}").choice(self._manners.conducts)

    async def _run(self, worker_id: WorkerId, task: RunAttempt, conduct: Conduct) -> None:
        if conduct is Conduct.DIES_AT_ONCE:
            return
        self._held[worker_id].add(task.attempt_id)
        try:
            who = task.job_id, task.attempt_id
            await self._say(started(*who, worker_id))
            if conduct is Conduct.DIES:
                return
            await self._work(worker_id, *who, conduct)
        finally:
            self._held[worker_id].discard(task.attempt_id)

    async def _work(self, worker_id: WorkerId, job_id: JobId, attempt_id: AttemptId, conduct: Conduct) -> None:
        who = job_id, attempt_id
        if conduct is Conduct.WAKES_UP_LATE:
            self._held[worker_id].discard(attempt_id)
            await asyncio.sleep(self._manners.lease_ttl_seconds * 1.5)
            await self._say(stage_changed(*who, worker_id))
        elif await self._is_aborted(worker_id, attempt_id, None if conduct is Conduct.HANGS else 0.03):
            await self._say(failed(*who, FailureCode.CANCELLED, worker_id))
            return
        match conduct:
            case Conduct.CRASHES:
                await self._say(failed(*who, FailureCode.ENGINE_CRASHED, worker_id))
            case Conduct.REFUSES:
                await self._say(failed(*who, FailureCode.INVALID_IMAGE, worker_id))
            case Conduct.HANDS_BACK:
                await self._say(failed(*who, FailureCode.WORKER_SHUTDOWN, worker_id))
            case _:
                self.successes[attempt_id].add(worker_id)
                await self._say(stage_changed(*who, worker_id))
                await self._say(succeeded(*who, worker_id))

    async def _is_aborted(self, worker_id: WorkerId, attempt_id: AttemptId, within_seconds: float | None) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._aborts[worker_id, attempt_id].wait()
        return self._aborts[worker_id, attempt_id].is_set()

    def _on_abort_of(self, worker_id: WorkerId) -> Callable[[Sequence[CloudEvent[AbortAttempt]]], Awaitable[None]]:
        async def on_abort(events: Sequence[CloudEvent[AbortAttempt]]) -> None:
            for event in events:
                self._aborts[worker_id, event.data.attempt_id].set()

        return on_abort

    async def _beat(self) -> None:
        while True:
            for worker_id, held in self._held.items():
                beat = heartbeat(*held, slots=_SLOTS, worker_id=worker_id)
                with suppress(BusUnavailableError):
                    await self._publish(beat, durable=False)
            await asyncio.sleep(_HEARTBEAT_INTERVAL_SECONDS)

    # --- both ---

    async def _say(self, message: Message, *, after_seconds: float = 0.0) -> None:
        """Until it is confirmed, as both the gateway's callers and the workers do."""
        await asyncio.sleep(after_seconds)
        while True:
            with suppress(BusUnavailableError):
                return await self._publish(message)
            await asyncio.sleep(0.01)

    async def _publish(self, message: Message, *, durable: bool = True) -> None:
        event = wrap(message, event_id=_id_of(message), source="/population", subject="test", time=datetime.now(UTC))
        await self._bus.publish(type(message), [event], durable=durable)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _id_of(message: Message) -> str:
    """The same each time the same thing is said."""
    subject = message.attempt_id if isinstance(message, AttemptReport) else getattr(message, "job_id", "job")
    return f"{subject}/{message.event_type()}"

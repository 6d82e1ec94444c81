"""An orchestrator without a database: takes jobs on, lives their lives at random, and says everything over a bus that fails."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from services.gateway.tests.integration.conftest import Facts

from contracts import jobs, topology
from contracts.cloudevents import CloudEvent, wrap
from contracts.failures import FailureCode
from contracts.ids import JobId
from contracts.jobs import JobCancelRequested, JobEvent, JobRequested, JobSpec
from contracts.states import JobStatus, Stage
from devstack.faults.bus import FaultyBus
from devstack.faults.plan import FaultPlan
from service_kit.errors import BusUnavailableError, OperationalError

_WORKER = {"attempt_id": UUID(int=7), "worker_id": "gpu-7"}
_RUNNING = JobStatus.RUNNING


class Storyteller:
    """Asked twice for a job it tells its whole story again, as the real one does. A job with the prompt `WAITS` does"""

    def __init__(self, broker_url: str, plan: FaultPlan) -> None:
        self.bus = FaultyBus(broker_url, service="orchestrator", plan=plan, name="orchestrator")
        self._seed = plan.seed
        self.logs: dict[JobId, list[JobEvent]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.bus.on(topology.ORCHESTRATOR_REQUESTS, JobRequested)(self._on_requested)
        self.bus.on(topology.ORCHESTRATOR_REQUESTS, JobCancelRequested)(self._on_cancel_requested)

    @property
    def is_silent(self) -> bool:
        """Whether all stories are told to their end."""
        return not self._tasks and all(log[-1].state.status.is_terminal for log in self.logs.values())

    def take_on(self, job: JobSpec) -> None:
        """Lives the job's life; said again, tells it again."""
        if job.job_id not in self.logs:
            self.logs[job.job_id] = self._life(Facts(job))
        self._tell(self.logs[job.job_id])

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.bus.stop()

    async def _on_requested(self, events: Sequence[CloudEvent[JobRequested]]) -> None:
        for event in events:
            self.take_on(event.data.job)

    async def _on_cancel_requested(self, events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
        for event in events:
            log = self.logs.get(event.data.job_id)
            if log is None:
                raise OperationalError("the request of this job has not come yet")
            queued = log[0]
            assert isinstance(queued, jobs.JobQueued)
            if not log[-1].state.status.is_terminal:
                state = {"completed_at": datetime.now(UTC), "cancel_requested": True}
                log.append(Facts(queued.job).fact(jobs.JobCancelled, 2, JobStatus.CANCELLED, state=state))
            self._tell(log)

    def _life(self, facts: Facts) -> list[JobEvent]:
        draw = Random(f"{self._seed}/{facts.job.job_id}")
        if facts.job.prompt == WAITS:
            return [facts.queued()]
        now = datetime.now(UTC)
        error = jobs.JobError(code=FailureCode.ENGINE_CRASHED, message="It broke.", retryable=True)
        first, second = {"attempt": 1, "started_at": now}, {"attempt": 2, "started_at": now}
        life = [
            facts.queued(),
            facts.fact(jobs.JobStarted, 2, _RUNNING, state=first, **_WORKER),
            facts.fact(
                jobs.JobRetryScheduled, 3, JobStatus.QUEUED, state=first, failure=error, retry_at=now, **_WORKER
            ),
            facts.fact(jobs.JobStarted, 4, _RUNNING, state=second, **_WORKER),
            facts.fact(
                jobs.JobStageChanged, 5, _RUNNING, state=second | {"stage": Stage.TEXTURE}, attempt_id=UUID(int=7)
            ),
        ]
        over: dict[str, Any] = second | {"completed_at": now}
        if draw.random() < 0.5:
            told: dict[str, Any] = {"attempt_id": UUID(int=7), "outputs": (), "stage_durations_ms": {}, "facts": {}}
            return [*life, facts.fact(jobs.JobSucceeded, 6, JobStatus.SUCCEEDED, state=over, **told)]
        return [*life, facts.fact(jobs.JobFailed, 6, JobStatus.FAILED, state=over | {"error": error})]

    def _tell(self, log: list[JobEvent]) -> None:
        """All of it at once, in whatever order the bus makes of it."""
        for event in log:
            task = asyncio.create_task(self._say(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _say(self, event: JobEvent) -> None:
        """Until it is confirmed."""
        envelope: CloudEvent[Any] = wrap(
            event, event_id=f"{event.job_id}/{event.seq}", source="/test", subject="test", time=event.occurred_at
        )
        while True:
            with suppress(BusUnavailableError):
                return await self.bus.publish(type(event), [envelope])
            await asyncio.sleep(0.01)


WAITS = "until it is cancelled"
"""The prompt of a job that waits for its cancellation."""

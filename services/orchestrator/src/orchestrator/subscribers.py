"""What the orchestrator hears."""

from collections.abc import Sequence
from typing import Any

import structlog

from contracts import topology
from contracts.attempts import AttemptFailed, AttemptStageChanged, AttemptStarted, AttemptSucceeded
from contracts.cloudevents import CloudEvent
from contracts.jobs import JobCancelRequested, JobRequested
from contracts.workers import WorkerHeartbeat
from orchestrator.commit_batch import Commits, Said
from orchestrator.decision import Verdict
from service_kit.batcher import Batcher
from service_kit.bus import Bus
from service_kit.errors import OperationalError, is_operational

log = structlog.get_logger()


class RequestNotHereYetError(OperationalError):
    """A cancel overtook the request of its job; it is given back until the request has come."""


def subscribe(bus: Bus, commits: Commits, heartbeats: Batcher[WorkerHeartbeat, None]) -> None:
    """Every delivery is acknowledged after its messages are committed."""

    @bus.on(topology.ORCHESTRATOR_REQUESTS, JobRequested)
    async def on_job_requested(events: Sequence[CloudEvent[JobRequested]]) -> None:
        await commits.submit_all([Said(event.data, event.traceparent) for event in events])

    @bus.on(topology.ORCHESTRATOR_REQUESTS, JobCancelRequested)
    async def on_job_cancel_requested(events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
        verdicts = await commits.submit_all([Said(event.data, event.traceparent) for event in events])
        if Verdict.UNKNOWN_JOB in verdicts:
            raise RequestNotHereYetError

    async def on_report(events: Sequence[CloudEvent[Any]]) -> None:
        await commits.submit_all([Said(event.data, event.traceparent) for event in events])

    for report in (AttemptStarted, AttemptStageChanged, AttemptSucceeded, AttemptFailed):
        bus.on(topology.ORCHESTRATOR_REPORTS, report)(on_report)

    @bus.on(topology.ORCHESTRATOR_HEARTBEATS, WorkerHeartbeat)
    async def on_worker_heartbeat(events: Sequence[CloudEvent[WorkerHeartbeat]]) -> None:
        try:
            await heartbeats.submit_all([event.data for event in events])
        except Exception as error:
            if not is_operational(error):
                raise
            # Not tried again: the next one says it all, and a late one would bring back what is gone.
            log.warning("orchestrator.heartbeats.not_recorded", count=len(events), error=repr(error))

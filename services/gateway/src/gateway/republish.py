"""Says a request again that the orchestrator did not acknowledge: not even a broker that lost its data loses a job."""

import structlog

from contracts.jobs import JobRequested
from gateway.create_job import request_event
from gateway.metrics import JOBS_REPUBLISHED
from gateway.store.job_view_writes import JobViewWriter
from service_kit.bus import Bus

log = structlog.get_logger()

_MAX_BATCH = 100


async def republish(views: JobViewWriter, bus: Bus, *, after_seconds: float) -> int:
    """How many requests were said again, at most 100. Harmless if they were heard: the orchestrator knows the job by its id."""
    jobs = await views.take_unacknowledged(after_seconds=after_seconds, limit=_MAX_BATCH)
    if jobs:
        log.warning("gateway.job.republished", count=len(jobs), first_job_id=str(jobs[0].job_id))
        await bus.publish(JobRequested, [request_event(job) for job in jobs])
        JOBS_REPUBLISHED.inc(len(jobs))
    return len(jobs)

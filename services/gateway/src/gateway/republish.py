"""Says again what the orchestrator did not acknowledge: not even a broker that lost its data loses a job, or a cancellation."""

import structlog

from contracts.jobs import JobCancelRequested, JobRequested
from gateway.cancel_job import cancel_event
from gateway.create_job import request_event
from gateway.metrics import CANCELS_REPUBLISHED, JOBS_REPUBLISHED
from gateway.store.job_view_writes import JobViewWriter
from service_kit.bus import Bus

log = structlog.get_logger()

_MAX_BATCH = 100


async def republish(views: JobViewWriter, bus: Bus, *, after_seconds: float) -> None:
    """Speaks again of every job that is due. Harmless if it was heard: the orchestrator knows jobs by their id.

    The request comes with every cancellation: it may be lost too, and the orchestrator answers it with the job's whole story,
    should it be that which was not heard.
    """
    while await _republish_some(views, bus, after_seconds) == _MAX_BATCH:
        pass


async def _republish_some(views: JobViewWriter, bus: Bus, after_seconds: float) -> int:
    async with views.unacknowledged(after_seconds=after_seconds, limit=_MAX_BATCH) as silent:
        if silent:
            cancels = [
                cancel_event(unheard.job.job_id, unheard.job.user_id, unheard.cancel_asked_at)
                for unheard in silent
                if unheard.cancel_asked_at is not None
            ]
            await bus.publish(JobRequested, [request_event(unheard.job) for unheard in silent])
            if cancels:
                await bus.publish(JobCancelRequested, cancels)
            log.warning(
                "gateway.job.republished",
                count=len(silent),
                cancels=len(cancels),
                first_job_id=str(silent[0].job.job_id),
            )
            JOBS_REPUBLISHED.inc(len(silent))
            CANCELS_REPUBLISHED.inc(len(cancels))
        return len(silent)

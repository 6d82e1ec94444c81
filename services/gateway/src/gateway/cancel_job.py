"""POST /jobs/{id}/cancel: says on the bus that the owner no longer wants the job."""

from datetime import UTC, datetime

from contracts.cloudevents import wrap
from contracts.jobs import JobCancelRequested
from gateway.job_view import JobView
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError
from service_kit.problems import unavailable
from service_kit.tracing import traceparent


async def cancel_job(bus: Bus, view: JobView) -> bool:
    """Whether there was anything to ask for: a job that is over stays as it is. Idempotent. Raises 503 if it was not said."""
    if view.is_over:
        return False
    now = datetime.now(UTC)
    event = wrap(
        JobCancelRequested(job_id=view.id, user_id=view.user_id, requested_at=now),
        event_id=f"{view.id}/cancel_requested",
        source="/gateway",
        subject=str(view.id),
        time=now,
        traceparent=traceparent.get(),
    )
    try:
        await bus.publish(JobCancelRequested, [event])
    except BusUnavailableError:
        raise unavailable("The cancellation could not be handed over. Try again shortly.") from None
    return True

"""POST /jobs/{id}/cancel: says on the bus that the owner no longer wants the job."""

from datetime import UTC, datetime

from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import JobId, UserId
from contracts.jobs import JobCancelRequested
from gateway.job_view import JobView
from gateway.store.job_view_writes import JobViewWriter
from service_kit.bus import Bus
from service_kit.crash_points import crash_point
from service_kit.errors import BusUnavailableError
from service_kit.problems import unavailable
from service_kit.tracing import traceparent


class CancelJob:
    """Idempotent. What it has said is recorded, so that `republish` says it again until an event shows that it was heard."""

    def __init__(self, bus: Bus, views: JobViewWriter, *, republish_after_seconds: float) -> None:
        self._bus = bus
        self._views = views
        self._republish_after_seconds = republish_after_seconds

    async def __call__(self, view: JobView) -> bool:
        """Whether there was anything to ask for: a job that is over stays as it is. Raises 503 unless said and recorded."""
        if view.is_over:
            return False
        now = datetime.now(UTC)
        try:
            await self._bus.publish(JobCancelRequested, [cancel_event(view.id, view.user_id, now)])
        except BusUnavailableError:
            raise unavailable("The cancellation could not be handed over. Try again shortly.") from None
        crash_point("gateway.after_cancel_said_before_recorded")
        await self._views.record_cancel(view.id, now, republish_after_seconds=self._republish_after_seconds)
        return True


def cancel_event(job_id: JobId, user_id: UserId, asked_at: datetime) -> CloudEvent[JobCancelRequested]:
    """The cancellation in its envelope; said again, it has the same id."""
    return wrap(
        JobCancelRequested(job_id=job_id, user_id=user_id, requested_at=asked_at),
        event_id=f"{job_id}/cancel_requested",
        source="/gateway",
        subject=str(job_id),
        time=asked_at,
        traceparent=traceparent.get(),
    )

"""What this worker alone must hear."""

from collections.abc import Sequence

from contracts import topology
from contracts.attempts import AbortAttempt
from contracts.cloudevents import CloudEvent
from contracts.ids import WorkerId
from gpu_worker.abort_attempts import abort_attempts
from gpu_worker.held_attempts import HeldAttempts
from gpu_worker.reports import Reports
from service_kit.bus import Bus
from service_kit.tracing.message_spans import processing


def subscribe(bus: Bus, worker_id: WorkerId, held: HeldAttempts, reports: Reports) -> None:
    control = topology.worker_control(worker_id)

    @bus.on(control, AbortAttempt)
    async def on_abort_attempt(events: Sequence[CloudEvent[AbortAttempt]]) -> None:
        with processing(control, events):
            await abort_attempts([event.data for event in events], held, reports)

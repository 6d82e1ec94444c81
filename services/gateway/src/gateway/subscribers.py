"""What the gateway hears: facts about jobs, which it projects, and telemetry, which it remembers."""

import time
from collections.abc import Sequence

from contracts import topology
from contracts.attempts import AttemptProgressed
from contracts.cloudevents import CloudEvent
from contracts.jobs import JOB_EVENTS, JobEvent
from contracts.workers import WorkerHeartbeat
from gateway.progress import ProgressBoard
from gateway.project_events import ProjectEvents
from gateway.served_models import ServedModels
from service_kit.bus import Bus
from service_kit.crash_points import crash_point
from service_kit.tracing.message_spans import processing


def subscribe(
    bus: Bus, *, instance: str, project_events: ProjectEvents, progress: ProgressBoard, served_models: ServedModels
) -> None:
    """`instance` names this process: each has a telemetry queue of its own, the projection's queue is shared."""
    telemetry = topology.gateway_telemetry(instance)

    async def on_job_event(events: Sequence[CloudEvent[JobEvent]]) -> None:
        with processing(topology.GATEWAY_PROJECTION, events):
            await project_events([event.data for event in events])
        crash_point("gateway.after_project_before_ack")

    for event_type in JOB_EVENTS:
        bus.on(topology.GATEWAY_PROJECTION, event_type)(on_job_event)

    @bus.on(telemetry, AttemptProgressed)
    async def on_attempt_progressed(events: Sequence[CloudEvent[AttemptProgressed]]) -> None:
        for event in events:
            progress.hear(event.data)

    @bus.on(telemetry, WorkerHeartbeat)
    async def on_worker_heartbeat(events: Sequence[CloudEvent[WorkerHeartbeat]]) -> None:
        for event in events:
            served_models.hear(event.data, time.monotonic())

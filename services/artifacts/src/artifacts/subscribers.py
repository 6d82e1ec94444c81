"""What this service hears on the bus."""

from collections.abc import Sequence

from artifacts.object_store import ObjectStore
from artifacts.register_inputs import register_inputs
from artifacts.store import Store
from contracts import topology
from contracts.cloudevents import CloudEvent
from contracts.jobs import JobQueued
from service_kit.bus import Bus


def subscribe(bus: Bus, *, store: Store, objects: ObjectStore) -> None:
    @bus.on(topology.ARTIFACTS_INPUTS, JobQueued)
    async def on_job_queued(events: Sequence[CloudEvent[JobQueued]]) -> None:
        jobs = [event.data.job for event in events if event.data.job.input_object is not None]
        if jobs:
            await register_inputs(jobs, store=store, objects=objects)

"""What this service hears on the bus."""

from collections.abc import Sequence
from datetime import timedelta

from artifacts.object_store import ObjectStore
from artifacts.register_inputs import register_inputs
from artifacts.reopen_jobs import reopen_jobs
from artifacts.store import Outcome, Store
from artifacts.sweep_store import SweepStore
from contracts import topology
from contracts.cloudevents import CloudEvent
from contracts.jobs import JobCancelled, JobFailed, JobQueued, JobSucceeded
from service_kit.bus import Bus
from service_kit.tracing.message_spans import processing


def subscribe(bus: Bus, *, store: Store, sweeps: SweepStore, objects: ObjectStore, inputs_kept_for: timedelta) -> None:
    @bus.on(topology.ARTIFACTS_INPUTS, JobQueued)
    async def on_job_queued(events: Sequence[CloudEvent[JobQueued]]) -> None:
        with processing(topology.ARTIFACTS_INPUTS, events) as contexts:
            queued = {event.data.job_id: event.data.occurred_at for event in events}
            await reopen_jobs(queued, store=store, sweeps=sweeps, inputs_kept_for=inputs_kept_for)
            jobs = [event.data.job for event in events if event.data.job.input_object is not None]
            if jobs:
                traces = {event.data.job_id: context for event, context in zip(events, contexts, strict=True)}
                await register_inputs(jobs, traces=traces, store=store, objects=objects)

    @bus.on(topology.ARTIFACTS_OUTCOMES, JobSucceeded)
    async def on_job_succeeded(events: Sequence[CloudEvent[JobSucceeded]]) -> None:
        facts = (event.data for event in events)
        with processing(topology.ARTIFACTS_OUTCOMES, events):
            await store.note_outcomes([Outcome(fact.job_id, fact.attempt_id, fact.occurred_at) for fact in facts])

    async def on_no_winner(events: Sequence[CloudEvent[JobFailed]] | Sequence[CloudEvent[JobCancelled]]) -> None:
        facts = (event.data for event in events)
        with processing(topology.ARTIFACTS_OUTCOMES, events):
            await store.note_outcomes([Outcome(fact.job_id, None, fact.occurred_at) for fact in facts])

    bus.on(topology.ARTIFACTS_OUTCOMES, JobFailed)(on_no_winner)
    bus.on(topology.ARTIFACTS_OUTCOMES, JobCancelled)(on_no_winner)

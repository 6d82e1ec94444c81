"""A handler of cancel requests that notes what it is given, and hits a bug in the events it is told to."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from contracts import topology
from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import JobId, UserId
from contracts.jobs import JobCancelRequested
from service_kit.bus import Bus

REQUESTS = topology.ORCHESTRATOR_REQUESTS


def cancel_request(event_id: str = "e-1") -> CloudEvent[JobCancelRequested]:
    now = datetime.now(UTC)
    message = JobCancelRequested(job_id=JobId(uuid4()), user_id=UserId(uuid4()), requested_at=now)
    return wrap(message, event_id=event_id, source="/test", subject=str(message.job_id), time=now)


class Heard:
    def __init__(self, *, crash_at: str | None = None) -> None:
        self.calls: list[list[str]] = []
        """The ids of the events of each call."""
        self.crash_at = crash_at
        self._changed = asyncio.Condition()

    async def __call__(self, events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
        ids = [event.id for event in events]
        async with self._changed:
            self.calls.append(ids)
            self._changed.notify_all()
        if self.crash_at in ids:
            raise ValueError("a bug")

    async def until(self, *ids: str) -> None:
        """Returns once each of these was handed over."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: set(ids) <= {id_ for call in self.calls for id_ in call})

    def subscribe(self, bus: Bus) -> None:
        bus.on(REQUESTS, JobCancelRequested)(self)

"""A process that says something on the bus all the time, and on its output each time the broker has it: to be frozen."""

import asyncio
import os
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import uvloop

from contracts.cloudevents import wrap
from contracts.ids import JobId, UserId
from contracts.jobs import JobCancelRequested
from service_kit.batcher import Batcher
from service_kit.bus import Bus
from service_kit.loops import Loop

_NUMBERS = count(1)


async def main() -> None:
    bus = Bus(os.environ["RABBITMQ_URL"], service="speaker")

    async def publish(batch: list[int]) -> list[None]:
        now = datetime.now(UTC)
        words = JobCancelRequested(job_id=JobId(UUID(int=1)), user_id=UserId(UUID(int=2)), requested_at=now)
        events = [wrap(words, event_id=str(n), source="/speaker", subject="test", time=now) for n in batch]
        await bus.publish(JobCancelRequested, events)
        return [None] * len(batch)

    batches: Batcher[int, None] = Batcher(publish, max_batch=100)

    async def speak() -> None:
        await batches.submit(next(_NUMBERS))
        print("said", flush=True)

    await bus.start()
    Loop("speak", speak, interval_seconds=0.02).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())

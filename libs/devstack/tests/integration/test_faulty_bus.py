"""What publishers are told and what consumers hear of a faulty bus, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from contracts import topology
from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import JobId, UserId
from contracts.jobs import JobCancelRequested
from devstack.addresses import RabbitAddress
from devstack.faults.bus import FaultyBus
from devstack.faults.plan import Decision, Fault, FaultPlan
from devstack.isolation import create_vhost, drop_vhost
from service_kit.errors import BusUnavailableError

PUBLISHES, HEARS = "a publishes job.cancel_requested", "a hears job.cancel_requested"


class Once(FaultPlan):
    """One fault, at the first call of one site."""

    site, fault = "", Fault.BEFORE

    def decide(self, site: str, *possible: Fault) -> Decision:
        fault = self.fault if site == self.site and self.fault in possible else None
        self.site = "" if fault else self.site
        return Decision(site, 1, fault, delay_seconds=0.2)


class Ear:
    """Hears its own bus."""

    def __init__(self, url: str) -> None:
        self.plan = Once(0)
        self.bus = FaultyBus(url, service="test", plan=self.plan, name="a", may_lose=(JobCancelRequested,))
        self.heard: list[str] = []
        self._last = asyncio.Event()
        self.bus.on(topology.ORCHESTRATOR_REQUESTS, JobCancelRequested)(self._hear)

    async def _hear(self, events: Sequence[CloudEvent[JobCancelRequested]]) -> None:
        self.heard += [event.id for event in events]
        if "last" in self.heard:
            self._last.set()

    async def say(self, event_id: str) -> None:
        now = datetime.now(UTC)
        message = JobCancelRequested(job_id=JobId(uuid4()), user_id=UserId(uuid4()), requested_at=now)
        event = wrap(message, event_id=event_id, source="/test", subject="test", time=now)
        await self.bus.publish(JobCancelRequested, [event])

    async def all_of_it(self) -> list[str]:
        """What was heard before the last word, which is said now."""
        await self.say("last")
        async with asyncio.timeout(10):
            await self._last.wait()
        return [event_id for event_id in self.heard if event_id != "last"]


@pytest.fixture
async def ear(rabbitmq_address: RabbitAddress) -> AsyncIterator[Ear]:
    own = await create_vhost(rabbitmq_address)
    ear = Ear(own.url)
    await ear.bus.start()
    yield ear
    await ear.bus.stop()
    await drop_vhost(own)


@pytest.mark.parametrize(
    ("fault", "is_told_it_failed", "heard"),
    [
        (Fault.BEFORE, True, []),
        (Fault.AFTER, True, ["word"]),
        (Fault.TWICE, False, ["word", "word"]),
        (Fault.LOSS, False, []),
    ],
)
async def test_what_a_publisher_is_told_is_not_always_what_became_of_its_message(
    ear: Ear, *, fault: Fault, is_told_it_failed: bool, heard: list[str]
) -> None:
    ear.plan.site, ear.plan.fault = PUBLISHES, fault
    if is_told_it_failed:
        with pytest.raises(BusUnavailableError):
            await ear.say("word")
    else:
        await ear.say("word")
    assert await ear.all_of_it() == heard


async def test_a_late_message_is_confirmed_at_once_and_overtaken(ear: Ear) -> None:
    ear.plan.site, ear.plan.fault = PUBLISHES, Fault.DELAY
    await ear.say("word")
    assert await ear.all_of_it() == []
    async with asyncio.timeout(10):
        while ear.heard != ["last", "word"]:  # noqa: ASYNC110  # nothing signals it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("fault", "times"), [(Fault.BEFORE, 1), (Fault.AFTER, 2), (Fault.TWICE, 2)])
async def test_a_delivery_comes_again_until_it_is_acknowledged(ear: Ear, fault: Fault, times: int) -> None:
    ear.plan.site, ear.plan.fault = HEARS, fault
    await ear.say("word")
    async with asyncio.timeout(10):
        while ear.heard != ["word"] * times or ear.bus.handling:  # noqa: ASYNC110  # nothing signals it
            await asyncio.sleep(0.01)

"""A bus whose publishers are told the wrong thing, and whose consumers hear things twice, late and out of order."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias, TypeVar

from contracts.cloudevents import CloudEvent
from contracts.message import Message
from contracts.topology import Queue
from devstack.faults.plan import Fault, FaultPlan
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError, OperationalError

M = TypeVar("M", bound=Message)
Handler: TypeAlias = Callable[[Sequence[CloudEvent[Any]]], Awaitable[None]]


class DeliveryLostError(OperationalError):
    """The connection a delivery came by is gone: nobody has acknowledged it, and it comes again."""


class FaultyBus(Bus):
    """A real bus. Its publications fail before or after the broker has them, happen twice, or reach it later than others that
    were confirmed after them. Its handlers are not called, called again although they had succeeded (the acknowledgement was
    lost), called twice at the same time, or late.

    `may_lose`: what the broker may confirm and never deliver, as if it had been reset to empty in between.
    """

    def __init__(
        self,
        url: str,
        *,
        service: str,
        plan: FaultPlan,
        name: str,
        may_lose: Collection[type[Message]] = (),
        **options: Any,
    ) -> None:
        """`options` are the bus's own."""
        super().__init__(url, service=service, **options)
        self._plan = plan
        self._name = name
        self._may_lose = may_lose
        self._late: set[asyncio.Task[None]] = set()
        self.handling = 0
        """Deliveries whose handler has been called and has not answered yet."""

    async def publish(
        self,
        message_type: type[M],
        events: Sequence[CloudEvent[M]],
        *,
        routing_key: str | None = None,
        durable: bool = True,
    ) -> None:
        async def really() -> None:
            await super(FaultyBus, self).publish(message_type, events, routing_key=routing_key, durable=durable)

        possible = [Fault.BEFORE, Fault.AFTER, Fault.TWICE, Fault.DELAY]
        possible += [Fault.LOSS] if message_type in self._may_lose else []
        decision = self._plan.decide(f"{self._name} publishes {message_type.routing_key}", *possible)
        match decision.fault:
            case Fault.BEFORE:
                raise BusUnavailableError(f"not published: {decision}")
            case Fault.LOSS:
                return
            case Fault.DELAY:
                self._keep(asyncio.create_task(_later(decision.delay_seconds, really)))
                return
            case Fault.TWICE:
                await really()
        await really()
        if decision.fault is Fault.AFTER:
            raise BusUnavailableError(f"published: {decision}")

    def on(
        self, queue: Queue, message_type: type[M]
    ) -> Callable[[Callable[[Sequence[CloudEvent[M]]], Awaitable[None]]], Handler]:
        register = super().on(queue, message_type)
        site = f"{self._name} hears {message_type.routing_key}"

        def register_faulty(handler: Callable[[Sequence[CloudEvent[M]]], Awaitable[None]]) -> Handler:
            async def handle(events: Sequence[CloudEvent[Any]]) -> None:
                self.handling += 1
                try:
                    await self._handle(site, handler, events)
                finally:
                    self.handling -= 1

            return register(handle)

        return register_faulty

    async def stop(self) -> None:
        """Closes the connection once everything it has confirmed is with the broker."""
        if self._late:
            await asyncio.wait(self._late)
        await super().stop()

    async def _handle(
        self, site: str, handler: Callable[[Sequence[CloudEvent[M]]], Awaitable[None]], events: Sequence[CloudEvent[M]]
    ) -> None:
        decision = self._plan.decide(site, Fault.BEFORE, Fault.AFTER, Fault.TWICE, Fault.DELAY)
        match decision.fault:
            case Fault.BEFORE:
                raise DeliveryLostError(f"not handled: {decision}")
            case Fault.DELAY:
                await asyncio.sleep(decision.delay_seconds)
            case Fault.TWICE:  # a delivery that outlives its connection runs beside its own second coming
                answers = await asyncio.gather(handler(events), handler(events), return_exceptions=True)
                for answer in answers:
                    if answer is not None:
                        raise answer
                return
        await handler(events)
        if decision.fault is Fault.AFTER:
            raise DeliveryLostError(f"handled: {decision}")

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._late.add(task)
        task.add_done_callback(self._late.discard)


async def _later(seconds: float, publish: Callable[[], Awaitable[None]]) -> None:
    """What was confirmed is there, however long its way: a broker that is gone for a moment does not take it along."""
    while True:
        await asyncio.sleep(seconds)
        try:
            return await publish()
        except BusUnavailableError:
            continue

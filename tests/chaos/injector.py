"""Does to the system what the schedule says, and makes it good again."""

import asyncio
import time
from collections import defaultdict
from contextlib import suppress

from fault_schedule import FaultKind, PlannedFault, Way
from system_under_test import SystemUnderTest
from witness import Witness

from devstack.errors import StartError

_READY_TIMEOUT_SECONDS = 60.0
_START_AGAIN_SECONDS = 1.0
_DELAY_SECONDS = 0.3


class Injector:
    def __init__(self, system: SystemUnderTest, witness: Witness) -> None:
        self._system = system
        self._witness = witness
        self._broken: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._open_to_services = asyncio.Event()
        """Cleared while a RabbitMQ that was reset is kept from the services."""
        self._open_to_services.set()
        self.never_ready: list[str] = []
        """Processes that did not say they were ready again in time, each with the fault before."""

    async def inject(self, fault: PlannedFault) -> None:
        """Breaks it, waits as long as the fault lasts, heals it. Returns when what was broken runs again.

        Where coming back takes longer than the schedule thought, the next fault of the same thing waits for it.
        """
        if isinstance(fault.target, Way):
            await self._break_way(fault.kind, fault.target, fault.duration_seconds)
            return
        async with self._broken[fault.target]:
            if fault.target in self._system.stack.names():
                await self._break_process(fault, fault.target)
            else:
                await self._break_server(fault)

    async def heal_all(self) -> None:
        """Whatever is still broken, because the run was ended in the middle of it."""
        servers = self._system.servers
        for way in self._system.ways.values():
            await way.mend()
        for server in (servers.postgres, servers.rabbitmq, servers.s3):
            server.resume()
            await server.start()
        for name in self._system.stack.names():
            self._system.stack.resume(name)

    async def _break_process(self, fault: PlannedFault, name: str) -> None:
        stack = self._system.stack
        match fault.kind:
            case FaultKind.KILL:
                await stack.kill(name)
            case FaultKind.RESTART:
                await stack.restart(name)
            case FaultKind.PAUSE | FaultKind.LONG_PAUSE:
                stack.pause(name)
                await asyncio.sleep(fault.duration_seconds)
                stack.resume(name)
            case _:
                raise AssertionError(fault)
        await self._until_ready(name, fault)

    async def _until_ready(self, name: str, fault: PlannedFault) -> None:
        """Started again whenever it gives up, as any supervisor does: a service whose broker is away does not start."""
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                return await self._system.stack.wait_ready(name, timeout_seconds=left)
            except StartError:
                await asyncio.sleep(_START_AGAIN_SECONDS)
                await self._system.stack.start(name)
        self.never_ready.append(f"{name} was not ready {_READY_TIMEOUT_SECONDS:.0f} s after: {fault}")
        return None

    async def _break_server(self, fault: PlannedFault) -> None:
        postgres, rabbitmq, s3 = self._system.servers.postgres, self._system.servers.rabbitmq, self._system.servers.s3
        match fault.kind:
            case FaultKind.KILL_POSTGRES:
                await postgres.kill()
                await postgres.start()
            case FaultKind.RESTART_POSTGRES:
                await postgres.stop()
                await postgres.start()
            case FaultKind.KILL_RABBITMQ:
                await rabbitmq.kill()
                await rabbitmq.start()
            case FaultKind.RESET_RABBITMQ:
                await self._reset_rabbitmq()
            case FaultKind.PAUSE_POSTGRES | FaultKind.PAUSE_RABBITMQ:
                server = postgres if fault.kind is FaultKind.PAUSE_POSTGRES else rabbitmq
                server.pause()
                await asyncio.sleep(fault.duration_seconds)
                server.resume()
            case FaultKind.STOP_S3:
                await s3.stop()
                await asyncio.sleep(fault.duration_seconds)
                await s3.start()
            case _:
                raise AssertionError(fault)

    async def _reset_rabbitmq(self) -> None:
        """Its whole memory is gone, users and queues and all.

        The services find it again only when the witness has its queue again: what is said while a subscriber has no queue,
        nobody could keep for it.
        """
        ways = self._system.ways_to("rabbitmq")
        self._open_to_services.clear()
        for way in ways:
            way.cut()
        await self._system.servers.rabbitmq.reset()
        await self._system.servers.rabbitmq.start()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._witness.listening.wait(), _READY_TIMEOUT_SECONDS)
        self._open_to_services.set()
        for way in ways:
            await way.mend()

    async def _break_way(self, kind: FaultKind, way: Way, duration_seconds: float) -> None:
        ways = self._system.ways_of(way)
        for one in ways:
            match kind:
                case FaultKind.CUT:
                    one.cut()
                case FaultKind.FREEZE:
                    one.freeze()
                case FaultKind.DELAY:
                    one.delay(_DELAY_SECONDS)
                case _:
                    raise AssertionError(kind)
        await asyncio.sleep(duration_seconds)
        if way.server == "rabbitmq":
            await self._open_to_services.wait()
        for one in ways:
            await one.mend()

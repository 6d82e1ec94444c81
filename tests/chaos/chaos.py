"""`make chaos SEED=… MINUTES=…`: the real system under load while everything breaks, and the ledger afterwards.

Two gateways, two orchestrators, three workers and the artifacts service, some of them with wrong clocks, on a RabbitMQ, a
PostgreSQL and an S3 store of their own. Orders come at a steady rate; faults come by a schedule drawn from the seed; a witness on
the bus listens, and repeats some of what it hears. Then all is healed, the load stops, the system comes to rest, and the ledger
says what became of every job. Exit status 0 only if nothing was lost, duplicated or contradicted, and no message died.

The method is Jepsen's (Kingsbury, https://jepsen.io): generator, nemesis, history, checker. The faults are those that Temporal's
and Netflix's fault injection found worth injecting; seeds as in FoundationDB's simulation.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from clients import Clients
from clock_skew import can_skew
from collect import collect
from drain import drained
from fault_schedule import PlannedFault, schedule
from injector import Injector
from ledger import Ledger, draw_up
from load import Load, poll
from orders import orders
from recovery import Recovery, seconds_until_served
from report import show, write_json
from system_under_test import SystemUnderTest, running_system
from witness import Witness

from devstack.api_client import ApiClient
from devstack.services import Service
from service_kit.database import driver_url

JOBS_PER_SECOND = 5.0
_POLLS_PER_SECOND = 25.0
_DRAIN_PATIENCE_SECONDS = 90.0
_PICTURE = Path(__file__).parent.parent / "assets" / "coffee-cutout.png"

Say = Callable[[str], None]


@dataclass
class Run:
    """Everything there is to say about a run."""

    seed: int
    minutes: float
    clocks_skewed: bool
    ledger: Ledger
    recoveries: list[Recovery]
    left_under_way: dict[str, int]
    """What had not come to rest when the time for it was over."""
    never_ready: list[str]
    surprises: list[str]
    answers: dict[str, int]
    repeated_messages: int
    ended_at_seconds: list[float]
    """When each job ended, since the run began: shows when the system served and when it could not."""
    seconds: dict[str, float] = field(default_factory=dict)


async def run(seed: int, minutes: float, state: Path, say: Say = print) -> Run:
    """A whole run. The system's logs and data lie in `state` afterwards."""
    began = time.monotonic()
    async with AsyncExitStack() as during:
        system = await during.enter_async_context(running_system(state))
        witness = await during.enter_async_context(Witness(system.servers.addresses.rabbitmq_url, seed))
        gateways = [system.stack.url(name) for name in system.stack.names(Service.GATEWAY)]
        customers = await during.enter_async_context(Clients(gateways, system.stack.api_key, seed))
        probers = await during.enter_async_context(Clients(gateways, system.prober_key, seed))
        await seconds_until_served(probers, "first")
        say(f"system up in {time.monotonic() - began:.1f} s; {_about_clocks()}")
        return await Chaos(system, witness, customers, probers, say).run(seed, minutes)


class Chaos:
    """The run itself: disturb, heal, drain, draw up."""

    def __init__(
        self, system: SystemUnderTest, witness: Witness, customers: Clients, probers: Clients, say: Say
    ) -> None:
        self._system = system
        self._witness = witness
        self._customers = customers
        self._probers = probers
        self._injector = Injector(system, witness)
        self._database_url = driver_url(system.servers.addresses.postgres_admin_url)
        self._began = time.monotonic()
        self._print = say

    async def run(self, seed: int, minutes: float) -> Run:
        load = Load(self._customers, orders(seed, await self._upload()), jobs_per_second=JOBS_PER_SECOND)
        polling = asyncio.create_task(poll(self._customers, per_second=_POLLS_PER_SECOND))
        self._began, began_at = time.monotonic(), time.time()
        recoveries = await self._disturb(load, schedule(seed, minutes, self._system.targets), minutes * 60)
        disturbed = time.monotonic()
        left = await self._drain(load)
        polling.cancel()
        rested = time.monotonic()
        users = (self._customers, self._probers)
        history = await collect(self._database_url, users, self._witness)
        return Run(
            seed=seed,
            minutes=minutes,
            clocks_skewed=can_skew(),
            ledger=draw_up(history),
            recoveries=recoveries,
            left_under_way=left,
            never_ready=self._injector.never_ready,
            surprises=[surprise for clients in users for surprise in clients.surprises],
            answers=dict(self._customers.answers),
            repeated_messages=self._witness.repeated,
            ended_at_seconds=[
                job.outcome.completed_at.timestamp() - began_at for job in history.jobs if job.outcome.completed_at
            ],
            seconds={
                "disturbed": disturbed - self._began,
                "drained": rested - disturbed,
                "ledger": time.monotonic() - rested,
            },
        )

    async def _disturb(self, load: Load, faults: Sequence[PlannedFault], seconds: float) -> list[Recovery]:
        async with asyncio.TaskGroup() as under_way:
            under_way.create_task(load.run(seconds))
            suffering = [under_way.create_task(self._suffer(fault, number)) for number, fault in enumerate(faults)]
        return [task.result() for task in suffering]

    async def _suffer(self, fault: PlannedFault, number: int) -> Recovery:
        """One fault of the schedule, and how long its recovery took."""
        await asyncio.sleep(max(0.0, self._began + fault.at_seconds - time.monotonic()))
        struck = time.monotonic()
        self._say(str(fault))
        meanwhile = asyncio.create_task(seconds_until_served(self._probers, f"{number}-meanwhile"))
        await self._injector.inject(fault)
        healed = time.monotonic()
        after = await seconds_until_served(self._probers, f"{number}-after")
        return Recovery(fault, struck - self._began, healed - struck, await meanwhile, after)

    async def _drain(self, load: Load) -> dict[str, int]:
        """What was still under way when the time for it was over."""
        self._say("all is healed and the load has stopped: draining")
        self._witness.repeats = False
        await self._injector.heal_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_PATIENCE_SECONDS):
                await load.finished()
        users = (self._customers, self._probers)
        left = await drained(self._database_url, users, self._witness, patience_seconds=_DRAIN_PATIENCE_SECONDS)
        left |= {"unanswered orders": load.unanswered} if load.unanswered else {}
        self._say(f"{'NOT at rest: ' + str(left) if left else 'at rest'}; drawing up the ledger")
        return left

    def _say(self, what: str) -> None:
        self._print(f"{time.monotonic() - self._began:6.1f} s  {what}")

    async def _upload(self) -> str:
        async with ApiClient(self._system.stack.api_url, self._system.stack.api_key) as api:
            ticket = await api.upload_ticket("cup.png", "image/png")
            await api.upload(ticket, _PICTURE.read_bytes())
            return str(ticket["object_name"])


def _about_clocks() -> str:
    if can_skew():
        return "the clocks of one gateway, one orchestrator and one worker are a minute off"
    return "clocks were NOT skewed, for libfaketime is missing: apt-get install faketime"


async def main(arguments: argparse.Namespace) -> int:
    state = arguments.state / str(arguments.seed)
    shutil.rmtree(state, ignore_errors=True)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # the witness loses its connection by intent
    outcome = await run(arguments.seed, arguments.minutes, state)
    print(show(outcome))
    file = Path("out") / f"chaos-{arguments.seed}.json"
    write_json(outcome, file)
    print(f"\n{file} has all of it; logs and data are in {state}")
    return 0 if outcome.ledger.is_clean else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--state", type=Path, default=Path(".state/chaos"))
    sys.exit(uvloop.run(main(parser.parse_args())))

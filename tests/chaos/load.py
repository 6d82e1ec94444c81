"""Steady load: orders at a constant rate whatever the system does about them, and pollers at a constant rate."""

import asyncio
import itertools
import time
from collections.abc import Iterator

from clients import Clients
from orders import Order

_AGAIN_AFTER_SECONDS = 5.0


class Load:
    """An open loop: a slow system gets no fewer orders, as its users do not know that it is slow."""

    def __init__(self, clients: Clients, orders: Iterator[Order], *, jobs_per_second: float) -> None:
        self._clients = clients
        self._orders = orders
        self._interval_seconds = 1 / jobs_per_second
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """Orders for so long, then waits until every order was answered."""
        began = time.monotonic()
        for number, order in zip(itertools.count(), self._orders, strict=False):
            due = began + number * self._interval_seconds
            if due > began + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._fulfil(order))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    @property
    def unanswered(self) -> int:
        """Orders whose client still tries."""
        return len(self._under_way)

    async def finished(self) -> None:
        """Returns when every order was answered; raises what went wrong in the harness itself."""
        await asyncio.gather(*self._under_way)

    async def _fulfil(self, order: Order) -> None:
        job_id = await self._clients.order(order)
        if order.cancel_after_seconds is not None:
            await asyncio.sleep(order.cancel_after_seconds)
            await self._clients.cancel(job_id)
        if order.sent_again_later:
            await asyncio.sleep(_AGAIN_AFTER_SECONDS)
            await self._clients.order(order)


async def poll(clients: Clients, *, per_second: float) -> None:
    """Looks at the jobs that are not over, in turn, and now and then at one that is. Until cancelled."""
    interval = 1 / per_second
    looks: set[asyncio.Task[object]] = set()
    for number in itertools.count():
        await asyncio.sleep(interval)
        if len(looks) > per_second * 3:
            continue  # nobody answers: asking ever more would only be in the way
        job_id = next(iter(clients.waiting), None) if number % 4 else clients.seen_lately()
        if job_id is None:
            continue
        if job_id in clients.waiting:  # to the end of the line
            clients.waiting[job_id] = clients.waiting.pop(job_id)
        task: asyncio.Task[object] = asyncio.create_task(clients.look(job_id))
        looks.add(task)
        task.add_done_callback(looks.discard)

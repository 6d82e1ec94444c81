"""An orchestrator of the real build, whose pool and bus fail as a plan says. The only place that knows how it is put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from pydantic import SecretStr

from contracts.attempts import AbortAttempt, RunAttempt
from devstack.faults.bus import FaultyBus
from devstack.faults.plan import FaultPlan
from devstack.faults.pool import FaultyPool
from orchestrator.app import build_app
from orchestrator.settings import OrchestratorSettings
from service_kit.database import open_pool

QUICK: dict[str, Any] = {
    "execution_grace_seconds": 0.0,
    "sweep_interval_seconds": 0.2,
    "redispatch_after_seconds": 0.3,
    "relay_patience_seconds": 0.2,
    "max_batch": 3,  # more commits, more to go wrong
}


@asynccontextmanager
async def faulted_replica(
    name: str, plan: FaultPlan, *, broker_url: str, database_url: str, **settings: Any
) -> AsyncIterator[FaultyBus]:
    """Runs the whole service; answers its bus. `settings` are those that are not `QUICK`."""
    made: list[FaultyBus] = []

    def make_bus(url: str, *, service: str, **options: Any) -> FaultyBus:
        # A task that was confirmed may be gone all the same: the orchestrator says it again.
        bus = FaultyBus(url, service=service, plan=plan, name=name, may_lose=(RunAttempt, AbortAttempt), **options)
        made.append(bus)
        return bus

    app = build_app(
        OrchestratorSettings(
            database_url=SecretStr(database_url), rabbitmq_url=SecretStr(broker_url), **(QUICK | settings)
        )
    )
    async with AsyncExitStack() as stack:
        open_faulty = partial(_open_faulty_pool, plan, name)
        with patch("orchestrator.app.open_pool", open_faulty), patch("orchestrator.app.Bus", make_bus):
            await stack.enter_async_context(app.router.lifespan_context(app))
        (bus,) = made
        yield bus


async def _open_faulty_pool(plan: FaultPlan, name: str, settings: Any, *, service: str) -> FaultyPool:
    return FaultyPool(await open_pool(settings, service=service), plan, name)

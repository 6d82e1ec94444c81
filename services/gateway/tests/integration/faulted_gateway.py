"""A gateway of the real build, whose database and bus fail as a plan says. The only place that knows how it is put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from unittest.mock import patch

from services.gateway.tests.integration.conftest import running_gateway

from contracts.jobs import JobCancelRequested, JobRequested
from devstack.faults.bus import FaultyBus
from devstack.faults.plan import FaultPlan
from devstack.faults.pool import FaultyPool
from gateway.settings import GatewaySettings
from gateway.store.database import Database

_NAME = "gateway"


class FaultyDatabase(Database):
    def __init__(self, settings: GatewaySettings, *, plan: FaultPlan) -> None:
        super().__init__(settings)
        self._plan = plan

    @property
    def pool(self) -> FaultyPool:
        return FaultyPool(super().pool, self._plan, _NAME)


@asynccontextmanager
async def faulted_gateway(settings: GatewaySettings, plan: FaultPlan) -> AsyncIterator[str]:
    """Serves it over HTTP; answers its URL."""
    # A request that was confirmed may be gone all the same: the gateway says it again.
    bus = partial(FaultyBus, plan=plan, name=_NAME, may_lose=(JobRequested, JobCancelRequested))
    async with AsyncExitStack() as stack:
        with patch("gateway.app.Bus", bus), patch("gateway.app.Database", partial(FaultyDatabase, plan=plan)):
            url = await stack.enter_async_context(running_gateway(settings))
        yield url

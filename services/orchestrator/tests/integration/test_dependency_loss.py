"""The orchestrator as a process while the broker or the database is gone, or silent: unready, alive, and well afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from services.orchestrator.tests.builders import a_spec
from services.orchestrator.tests.integration.orchestrator_process import OrchestratorProcess
from services.orchestrator.tests.integration.world import World

from contracts.jobs import JobQueued
from devstack.severable import SeverableWay

LOST = pytest.mark.parametrize("lost", ["broker", "database"])
HOW = pytest.mark.parametrize("how", ["cut", "freeze"])


@dataclass
class Ways:
    broker: SeverableWay
    database: SeverableWay

    def lose(self, what: str, how: str) -> SeverableWay:
        way: SeverableWay = getattr(self, what)
        getattr(way, how)()
        return way


@pytest.fixture
async def ways(broker_url: str, orchestrator_database_url: str) -> AsyncIterator[Ways]:
    async with SeverableWay(broker_url) as broker, SeverableWay(orchestrator_database_url) as database:
        yield Ways(broker, database)


@pytest.fixture
async def orchestrator(ways: Ways, tmp_path: Path) -> AsyncIterator[OrchestratorProcess]:
    log = tmp_path / "orchestrator.log"
    limits = {"DATABASE_TIMEOUT_SECONDS": "1", "DRAIN_SECONDS": "0", "SHUTDOWN_GRACE_SECONDS": "5"}
    async with OrchestratorProcess(ways.database.url, ways.broker.url, log, **limits) as process:
        yield await process.ready()


async def health(orchestrator: OrchestratorProcess, page: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"{orchestrator.url}/health/{page}") as answer:
        return answer.status


async def until_health(orchestrator: OrchestratorProcess, page: str, status: int) -> None:
    async with asyncio.timeout(25):
        while await health(orchestrator, page) != status:  # noqa: ASYNC110  # another process's
            await asyncio.sleep(0.05)


@LOST
@HOW
async def test_what_is_asked_meanwhile_is_done_once_it_is_back_without_a_restart(
    orchestrator: OrchestratorProcess, ways: Ways, world: World, lost: str, how: str
) -> None:
    way = ways.lose(lost, how)
    await until_health(orchestrator, "ready", 503)
    spec = a_spec()
    await world.request(spec)
    assert await health(orchestrator, "live") == 200
    await way.mend()
    await world.told(spec.job_id, JobQueued)
    await until_health(orchestrator, "ready", 200)
    assert await health(orchestrator, "live") == 200


@LOST
@HOW
async def test_a_stop_during_an_outage_ends_within_the_grace(
    orchestrator: OrchestratorProcess, ways: Ways, world: World, lost: str, how: str
) -> None:
    ways.lose(lost, how)
    await world.request(*(a_spec() for _ in range(20)))
    await until_health(orchestrator, "ready", 503)
    began_at = time.monotonic()
    assert await orchestrator.stop() == 0
    assert time.monotonic() - began_at < 20


async def test_a_stop_under_load_leaves_nothing_half_said_and_ends_with_status_zero(
    orchestrator: OrchestratorProcess, world: World
) -> None:
    specs = [a_spec() for _ in range(200)]
    asking = asyncio.create_task(world.request(*specs))
    await world.told(specs[0].job_id, JobQueued)
    assert await orchestrator.stop() == 0
    await asking

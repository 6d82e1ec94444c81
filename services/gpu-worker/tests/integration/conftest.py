"""A worker between an orchestrator and a store of the test's own, on a virtual host of the test's own."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

# pytest's importlib mode puts no tests folder on the path, and a conftest cannot be imported from.
sys.path.append(str(Path(__file__).parent))

from worker_harness import TOKEN, Orchestrator, RunningWorker, Storage, running_worker

from devstack.addresses import RabbitAddress
from devstack.isolation import create_vhost, drop_vhost
from devstack.severable import SeverableWay
from gpu_worker.settings import GpuWorkerSettings


@pytest.fixture
async def broker_url(rabbitmq_address: RabbitAddress) -> AsyncIterator[str]:
    """Queues have the same names in every test: each test has a virtual host of its own."""
    vhost = await create_vhost(rabbitmq_address)
    yield vhost.url
    await drop_vhost(vhost)


@pytest.fixture
async def orchestrator(broker_url: str) -> AsyncIterator[Orchestrator]:
    orchestrator = Orchestrator(broker_url)
    await orchestrator.start()
    yield orchestrator
    await orchestrator.bus.stop()


@pytest.fixture
async def gate(broker_url: str) -> AsyncIterator[SeverableWay]:
    """A way to the broker that the test can cut."""
    async with SeverableWay(broker_url) as gate:
        yield gate


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    storage = Storage()
    runner = web.AppRunner(storage.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    storage.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield storage
    await runner.cleanup()


@pytest.fixture
def new_settings(broker_url: str, storage: Storage, tmp_path: Path) -> Callable[..., GpuWorkerSettings]:
    def new(**changes: Any) -> GpuWorkerSettings:
        values = {
            "rabbitmq_url": broker_url,
            "artifacts_url": storage.url,
            "artifacts_token": TOKEN,
            "worker_models": "simulated-v1:2",
            "work_dir": tmp_path / "work",
            "heartbeat_interval_seconds": 0.2,
            "claim_patience_seconds": 0.3,
            "cancel_grace_seconds": 0.3,
            "shutdown_grace_seconds": 0.0,
            "stage_report_after_ms": 50,
            "progress_interval_ms": 100,
        }
        return GpuWorkerSettings(**(values | changes))

    return new


@pytest.fixture
async def start_worker(
    orchestrator: Orchestrator, new_settings: Callable[..., GpuWorkerSettings]
) -> AsyncIterator[Callable[..., Any]]:
    """Starts workers, and stops them when the test is over."""
    async with AsyncExitStack() as running:

        async def start(**changes: Any) -> RunningWorker:
            return await running.enter_async_context(running_worker(new_settings(**changes)))

        yield start


@pytest.fixture
async def worker(start_worker: Callable[..., Any]) -> RunningWorker:
    started: RunningWorker = await start_worker()
    return started


@pytest.fixture
def stoppable_worker(
    orchestrator: Orchestrator, new_settings: Callable[..., GpuWorkerSettings]
) -> Callable[..., AbstractAsyncContextManager[RunningWorker]]:
    """A worker that the test itself stops."""

    def open_worker(**changes: Any) -> AbstractAsyncContextManager[RunningWorker]:
        return running_worker(new_settings(**changes))

    return open_worker

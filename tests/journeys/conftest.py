"""One real stack for all journeys of a run: four services as processes, on servers that the run shares."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from steps import Raw, eventually, serves

from devstack.addresses import ServerAddresses
from devstack.api_client import ApiClient
from devstack.databases import isolated_and_prepared
from devstack.services import Service, StackSettings, Superuser
from devstack.stack import Stack

SUPERUSER = Superuser("journeys", "a password nobody guesses", "journeys-key-0123456789abcdef")
LEASE_TTL_SECONDS = 3.0


@pytest.fixture(scope="session")
async def stack(servers: ServerAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    settings = StackSettings(
        state_directory=tmp_path_factory.mktemp("stack"),
        superuser=SUPERUSER,
        worker_models="silhouette-v1:1,simulated-v1:4",
        cors_origins="http://editor.example",
        log_format="json",
        extra={
            Service.ORCHESTRATOR: {
                "LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS),
                "SWEEP_INTERVAL_SECONDS": "0.3",
                "CENSUS_INTERVAL_SECONDS": "0.3",
            },
            Service.GPU_WORKER: {"HEARTBEAT_INTERVAL_SECONDS": "0.5", "LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS)},
        },
    )
    async with isolated_and_prepared(servers, SUPERUSER) as own, Stack(own, settings) as running:
        async with ApiClient(running.api_url, running.api_key) as api:
            await eventually(lambda: serves(api, {"silhouette-v1", "simulated-v1"}))
        yield running


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.api_url, stack.api_key) as client:
        yield client


@pytest.fixture
async def raw(stack: Stack) -> AsyncIterator[Raw]:
    async with aiohttp.ClientSession() as session:
        yield Raw(session, f"{stack.api_url}/api/v1", stack.api_key)

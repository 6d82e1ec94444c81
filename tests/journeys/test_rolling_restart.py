"""Two machines with one process of every service each are restarted in turn, under load; nobody but the log notices."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rolling import Balancer, FrontEnds
from steps import eventually, over, serves

from devstack.addresses import ServerAddresses
from devstack.api_client import ApiClient
from devstack.databases import isolated_and_prepared
from devstack.services import Service, StackSettings, Superuser
from devstack.stack import Stack

pytestmark = pytest.mark.xdist_group("rolling restart")

SUPERUSER = Superuser("rolling", "a password nobody guesses", "rolling-key-0123456789abcdef")
LEASE_TTL_SECONDS = 10.0


@pytest.fixture
async def pairs(servers: ServerAddresses, tmp_path: Path) -> AsyncIterator[Stack]:
    """Two processes of every service, the first of each on one machine, so to say; those of artifacts behind one address."""
    lease = {"LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS)}
    async with Balancer() as artifacts:
        settings = StackSettings(
            state_directory=tmp_path,
            superuser=SUPERUSER,
            replicas=dict.fromkeys(Service, 2),
            worker_models="simulated-v1:4",
            log_format="json",
            common={"SHUTDOWN_GRACE_SECONDS": "3"},
            extra={
                Service.GATEWAY: {"ARTIFACTS_URL": artifacts.url},
                Service.ORCHESTRATOR: lease,
                Service.GPU_WORKER: lease | {"ARTIFACTS_URL": artifacts.url, "HEARTBEAT_INTERVAL_SECONDS": "1"},
            },
        )
        async with isolated_and_prepared(servers, SUPERUSER) as own, Stack(own, settings) as stack:
            artifacts.upstreams = lambda: [stack.url(name) for name in stack.names(Service.ARTIFACTS)]
            async with ApiClient(stack.api_url, stack.api_key) as api:
                await eventually(lambda: serves(api, {"simulated-v1"}))
            yield stack


async def test_a_rolling_restart_of_everything_costs_no_request_more_than_a_retry_and_no_job_its_attempt(
    pairs: Stack,
) -> None:
    front_ends = FrontEnds([f"{pairs.url(name)}/api/v1" for name in pairs.names(Service.GATEWAY)], pairs.api_key)
    load = asyncio.create_task(front_ends.run(clients=4, pause_seconds=0.15))
    for machine in ("-1", "-2"):
        names = [name for name in pairs.names() if name.endswith(machine)]
        assert await asyncio.gather(*(restarted(pairs, name) for name in names)) == [0] * len(names)
    front_ends.stop()
    await load

    assert front_ends.failed == []
    async with ApiClient(pairs.api_url, pairs.api_key) as api:
        jobs = [await over(api, job_id) for job_id in front_ends.job_ids]
        assert len(jobs) > 20
        assert {job["status"] for job in jobs} == {"SUCCEEDED"}
        events = [await api.events(job["id"]) for job in jobs if job["attempt"] > 1]
    assert "worker_lost" not in json.dumps(events), "an attempt may be handed back, but not lost to its lease"


async def restarted(stack: Stack, name: str) -> int:
    """Asks the process to stop and starts it again; its exit status, once it is ready."""
    pid = stack.pid(name)
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    status = await stack.wait_ended(name)
    await stack.start(name)
    await stack.wait_ready(name)
    return status

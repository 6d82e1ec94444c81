"""The four services, started together on real servers."""

import asyncio
from pathlib import Path

from devstack import ServerAddresses
from devstack.api_client import ApiClient
from devstack.databases import isolated_and_prepared
from devstack.leftovers import start_ticks
from devstack.services import Service, StackSettings, Superuser
from devstack.stack import Stack


async def test_a_process_can_be_killed_and_started_again_and_none_is_left_at_the_end(
    servers: ServerAddresses, tmp_path: Path
) -> None:
    superuser = Superuser("tester", "a-password-for-tests", "an-api-key-for-tests")
    settings = StackSettings(tmp_path, superuser, replicas={Service.GATEWAY: 2}, worker_models="simulated-v1:1")
    async with isolated_and_prepared(servers, superuser) as own:
        async with Stack(own, settings) as stack:
            assert stack.names(Service.GATEWAY) == ["gateway-1", "gateway-2"]
            await stack.kill("gateway-1")
            assert stack.pid("gateway-1") is None
            await stack.start("gateway-1")
            await stack.wait_ready("gateway-1")
            for gateway in stack.names(Service.GATEWAY):
                async with ApiClient(stack.url(gateway), stack.api_key) as api:
                    assert "simulated-v1" in {model["id"] for model in await api.models()}
            pids = [pid for name in stack.names() if (pid := stack.pid(name))]
            assert len(pids) == 5
        assert [pid for pid in pids if start_ticks(pid) is not None] == []


async def test_a_setting_for_one_start_is_gone_and_a_paused_process_answers_again_once_resumed(
    servers: ServerAddresses, tmp_path: Path
) -> None:
    superuser = Superuser("tester", "a-password-for-tests", "an-api-key-for-tests")
    settings = StackSettings(tmp_path, superuser, worker_models="simulated-v1:1")
    async with isolated_and_prepared(servers, superuser) as own, Stack(own, settings) as stack:
        await stack.stop("gateway-1")
        await stack.start_with("gateway-1", {"MAX_BODY_BYTES": "1"})  # fewer than the gateway agrees to
        assert await stack.wait_ended("gateway-1") > 0
        await stack.start("gateway-1")
        await stack.wait_ready("gateway-1")
        stack.pause("gateway-1")
        async with ApiClient(stack.api_url, stack.api_key) as api:
            answer = asyncio.create_task(api.models())
            assert (await asyncio.wait({answer}, timeout=0.3))[0] == set()
            stack.resume("gateway-1")
            assert await answer
        # Asked to end while it is paused, it must not be waited for in vain.
        stack.pause("gateway-1")
        await stack.stop("gateway-1")
        assert stack.pid("gateway-1") is None

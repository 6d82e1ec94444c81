"""The four services, started together on real servers."""

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

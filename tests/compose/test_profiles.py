"""What the profiles add. Run by `make compose-test`."""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from compose_project import ComposeProject
from steps import eventually, over, simulated

from devstack.api_client import ApiClient

SERVICES = {"gateway", "orchestrator", "artifacts", "gpu-worker"}
AtHand = Callable[[str], str | None]


async def test_analytics_reads_the_stream_and_answers_queries(running: ComposeProject, api: ApiClient) -> None:
    await asyncio.to_thread(running.compose, "up", "--detach", "--wait", profiles=["analytics"])
    assert (await over(api, await simulated(api)))["status"] == "SUCCEEDED"
    await eventually(lambda: attached(running))
    # What it has read becomes a file when it ends, at the latest.
    await asyncio.to_thread(running.compose, "stop", "analytics", profiles=["analytics"])
    query = ("run", "--rm", "analytics", "python", "-m", "analytics", "query", "waiting_and_running")
    assert "simulated-v1" in await asyncio.to_thread(running.compose, *query, profiles=["analytics"])


async def test_prometheus_finds_and_scrapes_every_service(running: ComposeProject, at_hand: AtHand) -> None:
    if reason := at_hand("prometheus"):
        pytest.skip(reason)
    start = ("up", "--detach", "--wait", "--no-deps", "prometheus")
    await asyncio.to_thread(running.compose, *start, profiles=["observability"])

    async def scraped() -> bool:
        url = f"http://127.0.0.1:{running.ports['PROMETHEUS_PORT']}/api/v1/targets"
        targets = json.loads(await asyncio.to_thread(lambda: urllib.request.urlopen(url).read()))["data"][
            "activeTargets"
        ]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"} >= SERVICES

    await eventually(scraped, within_seconds=60)


@pytest.mark.parametrize("service", ["otel-collector", "jaeger", "grafana"])
async def test_it_starts_with_our_configuration(running: ComposeProject, at_hand: AtHand, service: str) -> None:
    if reason := at_hand(service):
        pytest.skip(reason)
    start = ("up", "--detach", "--wait", "--no-deps", service)
    await asyncio.to_thread(running.compose, *start, profiles=["observability"])
    (container,) = running.containers(service)
    # What cannot read its configuration ends, and is started again, before that.
    await eventually(lambda: has_run_for(running, container, seconds=5))
    assert running.inspect(container)[0]["RestartCount"] == 0


async def has_run_for(project: ComposeProject, container: str, *, seconds: float) -> bool:
    started = datetime.fromisoformat(project.inspect(container)[0]["State"]["StartedAt"])
    return datetime.now(UTC) - started > timedelta(seconds=seconds)


async def attached(project: ComposeProject) -> bool:
    return "analytics.stream.attached" in project.compose("logs", "analytics", profiles=["analytics"])

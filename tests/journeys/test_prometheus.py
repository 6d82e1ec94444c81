"""A real Prometheus scrapes the whole running stack: every rule evaluates, every panel of every dashboard shows something."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_server import BINARY, PrometheusServer
from steps import ASSETS, Raw, eventually, over, simulated, uploaded

from devstack.api_client import ApiClient
from devstack.services import Service
from devstack.stack import Stack

pytestmark = [
    pytest.mark.xdist_group("stack"),
    pytest.mark.skipif(BINARY is None, reason="Prometheus is not installed (Debian's package `prometheus`)"),
]

REPOSITORY = Path(__file__).parents[2]
DASHBOARDS = sorted((REPOSITORY / "deploy" / "grafana" / "dashboards").glob("*.json"))
RUNBOOK = REPOSITORY / "docs" / "guides" / "runbook.md"
GRAFANAS_VARIABLES = {"$__rate_interval": "5m", "$__range": "5m", "$model": ".+"}

EMPTY_IN_HEALTH = {
    "Alerts": "nothing fires",
    "Dead letters, by queue and reason": "there are none",
    "Publishing that failed": "none failed",
    "Deliveries that came to nothing": "a slot was free for each, and none came twice",
    "Removed by retention": "nothing is old enough",
}
"""Panels that show something only when something is wrong, or when months have passed."""


@pytest.fixture(scope="module")
async def prometheus(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PrometheusServer]:
    """Has watched jobs of every kind end."""
    targets = {
        service.value.replace("_", "-"): [stack.url(name) for name in stack.names(service)] for service in Service
    }
    async with (
        PrometheusServer(tmp_path_factory.mktemp("prometheus"), targets) as server,
        ApiClient(stack.api_url, stack.api_key) as api,
        aiohttp.ClientSession() as http,
    ):
        # Twice, with a look in between: a series that did not exist before its first count has no increase yet.
        for _ in range(2):
            await _jobs_of_every_kind(api, Raw(http, f"{stack.api_url}/api/v1", stack.api_key))
            await server.until_scraped()
        await eventually(partial(_a_warm_engine_has_waited, server, api), within_seconds=60)
        yield server


async def _a_warm_engine_has_waited(server: PrometheusServer, api: ApiClient) -> bool:
    """Twice on the same one: which engine a job gets is for the worker to choose, so some more may be needed."""
    await over(api, await simulated(api))
    await server.until_scraped()
    return bool(await server.query("increase(p3d_worker_engine_idle_seconds_count[5m]) > 0"))


async def _jobs_of_every_kind(api: ApiClient, raw: Raw) -> None:
    """Jobs that succeed, fail, are tried again and are cancelled, all at the same time; and a question that is answered 404."""
    photo = await uploaded(api, (ASSETS / "coffee-cutout.png").read_bytes())
    pictured = await api.create_job("silhouette-v1", {"image_path": photo, "texture_resolution": 256})
    delivered, failed = await simulated(api), await simulated(api, outcome="fail_fatal")
    retried = await simulated(api, outcome="out_of_memory")

    async def is_tried_again() -> bool:
        return any(event["type"] == "job.retry_scheduled" for event in await api.events(retried))

    await eventually(is_tried_again)
    await raw("POST", f"/jobs/{retried}/cancel")
    for job_id in (pictured["id"], delivered, failed, retried):
        await over(api, job_id)
    status, _, _ = await raw("GET", "/jobs/00000000-0000-7000-8000-000000000000")
    assert status == 404


async def test_every_rule_can_be_evaluated(prometheus: PrometheusServer) -> None:
    async def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in await prometheus.rules())

    await eventually(evaluated)
    rules = await prometheus.rules()
    assert len(rules) > 30
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


async def test_every_recorded_series_has_values(prometheus: PrometheusServer) -> None:
    recorded = {rule["name"] for rule in await prometheus.rules() if rule["type"] == "recording"}
    empty = [name for name in sorted(recorded) if not await prometheus.query(name)]
    assert (bool(recorded), empty) == (True, [])


async def test_nothing_keeps_firing_while_all_is_well(prometheus: PrometheusServer) -> None:
    async def quiet() -> bool:
        return await prometheus.firing() == set()

    await prometheus.until_scraped()
    await eventually(quiet)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
async def test_every_panel_of_the_dashboard_shows_something(prometheus: PrometheusServer, file: Path) -> None:
    empty = _queries(file)

    async def all_show_something() -> bool:
        nonlocal empty
        empty = [(title, query) for title, query in empty if not any(map(_is_number, await prometheus.query(query)))]
        return {title for title, _ in empty} <= EMPTY_IN_HEALTH.keys()

    with contextlib.suppress(AssertionError):
        await eventually(all_show_something)
    assert [(title, query) for title, query in empty if title not in EMPTY_IN_HEALTH] == []


async def test_every_query_of_the_runbook_can_be_asked(prometheus: PrometheusServer) -> None:
    queries = re.findall(r"\bask '([^']+)'", RUNBOOK.read_text())
    assert len(queries) > 5
    for query in queries:
        await prometheus.query(query)


async def test_jobs_that_wait_for_a_killed_worker_raise_an_alert_that_goes_when_it_is_back(
    prometheus: PrometheusServer, stack: Stack, api: ApiClient
) -> None:
    await stack.kill("gpu_worker-1")
    job_id = await simulated(api)

    async def noticed() -> bool:
        return {"ModelNotServed", "TargetDown"} <= await prometheus.firing()

    async def well_again() -> bool:
        return await prometheus.firing() == set()

    try:
        await eventually(noticed)
        (alert,) = [rule for rule in await prometheus.rules() if rule["name"] == "ModelNotServed"]
        assert [firing["annotations"]["summary"] for firing in alert["alerts"]] == [
            "1 jobs wait for simulated-v1, which no worker serves"
        ]
    finally:
        await stack.start("gpu_worker-1")
        await stack.wait_ready("gpu_worker-1")
    assert (await over(api, job_id))["status"] == "SUCCEEDED"
    await eventually(well_again)


def _is_number(sample: dict[str, Any]) -> bool:
    """A quantile of nothing is "NaN", and shows nothing."""
    return bool(sample["value"][1] != "NaN")


def _queries(file: Path) -> list[tuple[str, str]]:
    """Each with the title of its panel."""
    panels = [panel for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"]
    return [(panel["title"], _with_values(target["expr"])) for panel in panels for target in panel["targets"]]


def _with_values(expression: str) -> str:
    """The query as Grafana would send it."""
    for variable, value in GRAFANAS_VARIABLES.items():
        expression = expression.replace(variable, value)
    assert not re.search(r"\$\w+", expression), f"a variable that nobody sets: {expression}"
    return expression

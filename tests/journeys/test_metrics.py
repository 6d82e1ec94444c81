"""What became of jobs is in the numbers of every service, exactly; what strangers ask for makes no new ones."""

import asyncio
from uuid import uuid4

import pytest
from scraped import Scraped, scrape
from steps import Raw, eventually, over, running, simulated

from devstack.api_client import ApiClient
from devstack.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")

GATEWAY, ORCHESTRATOR, WORKER, ARTIFACTS = "gateway-1", "orchestrator-1", "gpu_worker-1", "artifacts-1"
ALL = (GATEWAY, ORCHESTRATOR, WORKER, ARTIFACTS)
MODEL, UNSERVED = "simulated-v1", "dreamfusion-sd"


async def scrape_all(stack: Stack) -> dict[str, Scraped]:
    return dict(zip(ALL, await asyncio.gather(*(scrape(stack, name) for name in ALL)), strict=True))


async def is_idle(stack: Stack) -> bool:
    """No job that another test left behind is under way."""
    backlog = (await scrape(stack, ORCHESTRATOR))("p3d_backlog")
    return MODEL in backlog and not any(backlog.values())


async def test_the_numbers_of_jobs_that_succeed_fail_retry_and_are_cancelled(
    api: ApiClient, raw: Raw, stack: Stack
) -> None:
    await eventually(lambda: is_idle(stack))
    before = await scrape_all(stack)
    ended = [await simulated(api) for _ in range(3)]
    ended.append(await simulated(api, outcome="fail_fatal"))
    ended.append(await simulated(api, outcome="crash"))
    cancelled = await simulated(api, duration_seconds=600, steps=600)
    await running(api, cancelled)
    await raw("POST", f"/jobs/{cancelled}/cancel")
    body = {"model_id": UNSERVED, "input_params": {}, "prompt": "a chair"}
    _, _, waiting = await raw("POST", "/jobs/", json=body)
    await eventually(lambda: _queued(stack, UNSERVED, 1))
    await raw("POST", f"/jobs/{waiting['id']}/cancel")
    for job_id in [*ended, cancelled, waiting["id"]]:
        await over(api, job_id)
    grown = {name: now.since(before[name]) for name, now in (await scrape_all(stack)).items()}
    _check_gateway(grown[GATEWAY])
    _check_orchestrator(grown[ORCHESTRATOR])
    _check_worker(grown[WORKER])
    _check_artifacts(grown[ARTIFACTS])
    await eventually(lambda: _is_over(stack))


def _check_gateway(gateway: Scraped) -> None:
    assert gateway("p3d_gateway_jobs_created_total") == {MODEL: 6, UNSERVED: 1}
    requests = "p3d_http_request_seconds_count"
    assert gateway(requests, route="/api/v1/jobs") == {"POST 201": 7}
    assert gateway(requests, route="/api/v1/jobs/{job_id}/cancel") == {"POST 202": 2}
    assert set(gateway(requests, route="/api/v1/jobs/{job_id}")) == {"GET 200"}
    assert gateway("p3d_dead_letters_total") == {}
    assert sum(gateway("p3d_gateway_projection_delay_seconds_count").values()) > 0


def _check_orchestrator(orchestrator: Scraped) -> None:
    of_model = {"model": MODEL}
    assert orchestrator("p3d_jobs_ended_total", **of_model) == {  # code, state
        "none SUCCEEDED": 3,
        "engine_failed FAILED": 1,
        "engine_crashed FAILED": 1,
        "none CANCELLED": 1,
    }
    assert orchestrator("p3d_attempts_ended_total", **of_model) == {
        "none SUCCEEDED": 3,
        "engine_failed FAILED": 1,
        "engine_crashed FAILED": 3,
        "cancelled ABORTED": 1,
    }
    assert orchestrator("p3d_retries_total", **of_model) == {"engine_crashed": 2}
    assert orchestrator("p3d_job_wait_seconds_count", **of_model) == {"": 6}
    assert orchestrator("p3d_job_run_seconds_count", **of_model) == {"SUCCEEDED": 3, "FAILED": 2, "CANCELLED": 1}
    assert orchestrator("p3d_jobs_ended_total", model=UNSERVED) == {"none CANCELLED": 1}
    assert orchestrator("p3d_job_wait_seconds_count", model=UNSERVED) == {}
    assert orchestrator("p3d_relay_left_behind_total") == orchestrator("p3d_attempts_said_again_total") == {}


def _check_worker(worker: Scraped) -> None:
    assert worker("p3d_worker_attempts_total", model=MODEL) == {
        "succeeded": 3,
        "engine_failed": 1,
        "engine_crashed": 3,
        "cancelled": 1,
    }
    assert worker("p3d_worker_stage_seconds_count", model=MODEL, stage="generate") == {"": 3}


def _check_artifacts(artifacts: Scraped) -> None:
    assert artifacts("p3d_registered_artifacts_total", kind="model") == {"": 3}
    registrations = {"route": "/internal/worker/registrations", "method": "POST"}
    assert artifacts("p3d_http_request_seconds_count", **registrations) == {"200": 3}
    assert artifacts("p3d_presigned_urls_total", kind="worker_output")[""] >= 3


async def _queued(stack: Stack, model: str, count: int) -> bool:
    now = await scrape(stack, ORCHESTRATOR)
    oldest = now("p3d_oldest_queued_seconds", model=model)
    return now("p3d_jobs", model=model, state="QUEUED") == {"": count} and bool(oldest.get(""))


async def _is_over(stack: Stack) -> bool:
    """What nobody asks for or serves any more is not shown, and what is served is idle."""
    orchestrator, worker = await scrape(stack, ORCHESTRATOR), await scrape(stack, WORKER)
    return (
        orchestrator("p3d_jobs", model=UNSERVED) == {}
        and orchestrator("p3d_jobs", model=MODEL) == {"QUEUED": 0, "RUNNING": 0}
        and orchestrator("p3d_live_slots", model=MODEL) == worker("p3d_worker_slots", model=MODEL)
        and worker("p3d_worker_slots_busy", model=MODEL) == {"": 0}
        and not any(orchestrator("p3d_dead_letters_waiting").values())
        and orchestrator("p3d_queue_consumers", queue="orchestrator.requests") == {"": 1}
        and (await scrape(stack, GATEWAY))("p3d_gateway_projection_lag_seconds") == {"": 0}
    )


async def test_every_service_says_who_it_is_and_that_it_is_connected(stack: Stack) -> None:
    for process, service in zip(ALL, ("gateway", "orchestrator", "gpu-worker", "artifacts"), strict=True):
        now = await scrape(stack, process)
        assert list(now("p3d_build_info", service=service).values()) == [1], process
        assert now("p3d_bus_connected") == {"": 1}, process
        assert now("p3d_loop_last_success_timestamp_seconds"), process


async def test_nothing_that_a_stranger_sends_becomes_a_label(api: ApiClient, raw: Raw, stack: Stack) -> None:
    await _be_hostile(raw)
    before = await scrape_all(stack)
    await _be_hostile(raw)
    after = await scrape_all(stack)
    catalogue = {model["id"] for model in await api.models()}
    routes = set((await (await raw.session.get(f"{stack.api_url}/openapi.json")).json())["paths"])
    for process, now in after.items():
        new = {name for name, labels in now.samples.keys() - before[process].samples.keys()}
        assert not {name for name in new if "http" in name or "gateway_jobs" in name}, process
        assert now.values_of("model") <= catalogue, process
    plain = {"/", "/docs", "/redoc", "/openapi.json", "/metrics", "/health/live", "/health/ready", "unknown"}
    assert after[GATEWAY].values_of("route") <= routes | plain
    assert after[GATEWAY].values_of("method") <= {
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other",
    }  # fmt: skip


async def _be_hostile(raw: Raw) -> None:
    """Never the same twice."""
    for _ in range(20):
        noise = uuid4().hex
        await raw("POST", "/jobs/", json={"model_id": noise, "input_params": {}})
        await raw("POST", "/jobs/", json={"model_id": {"a": noise}, "input_params": noise})
        await raw("GET", f"/jobs/{noise}")
        await raw("GET", f"/jobs/{uuid4()}")
        await raw("GET", f"/jobs?model_id={noise}&status={noise}")
        await raw("POST", f"/jobs/{uuid4()}/cancel")
        await raw("GET", f"/{noise}/{noise}", headers={"x-api-key": noise})
        for method in ("PROPFIND", "PATCH", "SUBSCRIBE"):
            async with raw.session.request(method, f"{raw.url}/jobs/{noise}/{noise}") as answer:
                assert answer.status < 500

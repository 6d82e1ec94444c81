"""What every service counts of itself: requests by route, loops, and who may read it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from libs.service_kit.tests.unit.asgi_client import call
from prometheus_client import REGISTRY
from pydantic import SecretStr

from contracts import topology
from contracts.ids import WorkerId
from service_kit.asgi import service_app
from service_kit.errors import OperationalError
from service_kit.health import Health
from service_kit.loops import Loop
from service_kit.metrics import HTTP_REQUEST_SECONDS, queue_label
from service_kit.problems import Problem

TOKEN = "a-token-of-one's-own"


@asynccontextmanager
async def no_lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


def an_app(token: str | None = None) -> FastAPI:
    app = service_app(
        lifespan=no_lifespan, health=Health(), metrics_token=SecretStr(token) if token is not None else None
    )
    router = APIRouter(prefix="/sofas")

    @app.get("/chairs/{chair_id}")
    async def get_chair(chair_id: int) -> int:
        return chair_id

    @router.get("/{sofa_id}/legs")
    async def get_legs(sofa_id: str) -> str:
        if sofa_id == "none":
            raise Problem(404, "no_such_sofa", "There is none.")
        raise RuntimeError("it collapsed")

    app.include_router(router)
    return app


APP = an_app()


def answered(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("p3d_http_request_seconds_count", labels) or 0.0


def series() -> set[tuple[str, str, str]]:
    (family,) = HTTP_REQUEST_SECONDS.collect()
    return {(s.labels["method"], s.labels["route"], s.labels["status"]) for s in family.samples if "le" not in s.labels}


@pytest.mark.parametrize(
    ("method", "path", "counted_as"),
    [
        ("GET", "/chairs/7", ("GET", "/chairs/{chair_id}", 200)),
        ("GET", "/chairs/7/", ("GET", "/chairs/{chair_id}", 200)),
        ("GET", "/chairs/seven", ("GET", "/chairs/{chair_id}", 422)),
        ("DELETE", "/chairs/7", ("DELETE", "/chairs/{chair_id}", 405)),
        ("GET", "/sofas/none/legs", ("GET", "/sofas/{sofa_id}/legs", 404)),
        ("GET", "/sofas/red/legs", ("GET", "/sofas/{sofa_id}/legs", 500)),
        ("GET", "/metrics", ("GET", "/metrics", 200)),
        ("HEAD", "/health/live", ("HEAD", "/health/live", 200)),
        ("GET", "/docs", ("GET", "/docs", 200)),
        ("GET", "/tables/7", ("GET", "unknown", 404)),
        ("BREW", "/chairs/7", ("other", "/chairs/{chair_id}", 405)),
    ],
)
async def test_a_request_counts_for_the_route_as_written_and_not_for_its_path(
    method: str, path: str, counted_as: tuple[str, str, int]
) -> None:
    before = answered(*counted_as)
    await call(APP, method, path)
    assert answered(*counted_as) == before + 1


async def test_a_body_that_is_refused_before_any_route_counts_as_unknown() -> None:
    before = answered("POST", "unknown", 413)
    await call(APP, "POST", "/chairs/7", headers={"content-length": "999999999"})
    assert answered("POST", "unknown", 413) == before + 1


_METHODS = st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "TRACE"]) | st.text(
    st.characters(min_codepoint=65, max_codepoint=90), min_size=1, max_size=20
)
_SEGMENTS = st.sampled_from(
    ["chairs", "sofas", "legs", "metrics", "health", "live", "7", "{chair_id}", "unknown"]
) | st.text(st.characters(codec="ascii", exclude_characters="?#%/"), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(_METHODS, st.lists(_SEGMENTS, max_size=4))
def test_whatever_is_asked_for_the_labels_are_of_a_few(method: str, segments: list[str]) -> None:
    before = {route for _, route, _ in series()}  # other tests of this process have apps of their own
    asyncio.run(_ask(method, "/" + "/".join(segments)))
    methods, routes, _ = map(set, zip(*series(), strict=True))
    assert methods <= {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"}
    ours = {"/chairs/{chair_id}", "/sofas/{sofa_id}/legs", "/health/live", "/health/ready", "/metrics", "unknown"}
    assert routes - before <= ours


async def _ask(method: str, path: str) -> None:
    await call(APP, method, path)


async def test_metrics_are_for_everybody_unless_a_token_is_set() -> None:
    closed = an_app(TOKEN)
    assert (await call(APP, "GET", "/metrics")).status == 200
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"authorization": "Bearer ü"}):
        answer = await call(closed, "GET", "/metrics", headers=wrong)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert b"p3d_" not in answer.content
    answer = await call(closed, "GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert (answer.status, b"p3d_dead_letters" in answer.content) == (200, True)
    assert (await call(closed, "GET", "/health/live")).status == 200


async def test_a_loop_tells_when_it_last_succeeded_and_how_often_it_failed() -> None:
    ran = asyncio.Queue[None]()
    broken = True

    async def step() -> None:
        ran.put_nowait(None)
        if broken:
            raise OperationalError

    loop = Loop("test of metrics", step, interval_seconds=0.001)
    labels = {"loop": loop.name}

    def last_success() -> float:
        return REGISTRY.get_sample_value("p3d_loop_last_success_timestamp_seconds", labels) or 0.0

    assert REGISTRY.get_sample_value("p3d_loop_failures_total", labels) == 0
    loop.start()
    async with asyncio.timeout(5):
        for _ in range(3):
            await ran.get()
        failing_since = last_success()
        assert (REGISTRY.get_sample_value("p3d_loop_failures_total", labels) or 0) >= 2
        broken = False
        while last_success() == failing_since:
            await ran.get()
    await loop.stop()
    assert last_success() > failing_since


def test_queues_of_single_processes_share_a_label() -> None:
    assert queue_label(topology.gateway_telemetry("0af7651916cd43dd")) == "gateway.telemetry"
    assert queue_label(topology.worker_control(WorkerId("host.example-1.2"))) == "gpu-worker.control"
    assert queue_label(topology.GATEWAY_PROJECTION) == "gateway.projection"

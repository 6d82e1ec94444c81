"""Which requests have a line, and what is in it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from libs.service_kit.tests.unit.asgi_client import call
from structlog.testing import LogCapture

from service_kit.asgi import service_app
from service_kit.errors import OperationalError
from service_kit.health import Health
from service_kit.logging.settings import AccessLogSettings
from service_kit.problems import Problem


@asynccontextmanager
async def no_lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    capture, before = LogCapture(), structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(processors=before)


def an_app(**settings: Any) -> FastAPI:
    app = service_app(lifespan=no_lifespan, health=Health(), access_log=AccessLogSettings(**settings))

    @app.get("/jobs/{job_id}")
    async def read(job_id: str) -> str:
        if job_id == "missing":
            raise Problem(404, "not_found", "There is no such job.")
        if job_id == "crash":
            raise RuntimeError("a bug")
        if job_id == "outage":
            raise OperationalError("away")
        structlog.contextvars.bind_contextvars(user_id="somebody")
        return job_id

    return app


async def ask(app: FastAPI, path: str, times: int = 1, **headers: str) -> None:
    for _ in range(times):
        await call(app, "GET", path, headers=headers)


async def test_of_what_went_well_every_nth_has_a_line_that_counts_the_others(lines: list[Any]) -> None:
    await ask(an_app(access_log_every_nth=10), "/jobs/7", times=25)
    assert [line["left_out"] for line in lines] == [9, 9]


async def test_a_line_says_who_asked_for_what_and_how_it_went(lines: list[Any]) -> None:
    await ask(an_app(access_log_every_nth=1), "/jobs/7?x-api-key=hunter2", **{"x-request-id": "mine"})
    (line,) = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "http.request.answered",
        "log_level": "info",
        "method": "GET",
        "route": "/jobs/{job_id}",
        "path": "/jobs/7",
        "job_id": "7",
        "status": 200,
        "request_id": "mine",
        "user_id": "somebody",
        "left_out": 0,
    }


async def test_zero_means_none_of_them(lines: list[Any]) -> None:
    await ask(an_app(access_log_every_nth=0), "/jobs/7", times=200)
    assert lines == []


async def test_a_hostile_client_cannot_fill_the_log_with_its_refusals(lines: list[Any]) -> None:
    app = an_app()
    await ask(app, "/nowhere", times=500)
    await ask(app, "/jobs/missing", times=500)
    assert 20 <= len(lines) <= 30
    assert {line["status"] for line in lines} == {404}


async def test_every_failure_of_ours_has_its_line_with_the_reason_under_the_same_request_id(lines: list[Any]) -> None:
    app = an_app()
    await ask(app, "/jobs/crash")
    await ask(app, "/jobs/outage")
    events = [(line["event"], line.get("status")) for line in lines]
    assert events == [
        ("http.request.crashed", None),
        ("http.request.failed", 500),
        ("http.request.turned_away", None),
        ("http.request.failed", 503),
    ]
    assert lines[0]["request_id"] == lines[1]["request_id"] != lines[2]["request_id"] == lines[3]["request_id"]


async def test_a_slow_request_has_a_line_though_it_went_well(lines: list[Any]) -> None:
    await ask(an_app(slow_request_ms=0.001), "/jobs/7", times=3)
    assert len(lines) == 3


async def test_health_checks_have_none(lines: list[Any]) -> None:
    await ask(an_app(access_log_every_nth=1, slow_request_ms=0.001), "/health/live", times=3)
    assert lines == []


async def test_a_path_without_end_is_cut(lines: list[Any]) -> None:
    await ask(an_app(), "/" + "x" * 60_000)
    assert len(lines[0]["path"]) == 200

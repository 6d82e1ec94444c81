"""What every service answers alike: problems, request ids, limits, health and metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from libs.service_kit.tests.unit.asgi_client import Answer, call
from pydantic import BaseModel, Field

from service_kit.asgi import service_app
from service_kit.errors import OperationalError
from service_kit.health import Health
from service_kit.problems import PROBLEM_JSON, Problem
from service_kit.tracing import traceparent

LIMIT = 100
JSON = {"content-type": "application/json"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Chair(BaseModel):
    legs: int = Field(ge=1)


class Order(BaseModel):
    chairs: list[Chair]
    note: str | None = None


@asynccontextmanager
async def no_lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def app(health: Health) -> FastAPI:
    app = service_app(lifespan=no_lifespan, health=health, max_body_bytes=LIMIT)

    @app.post("/orders")
    async def order(order: Order) -> Order:
        return order

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @app.get("/refused")
    async def refused() -> None:
        raise Problem(409, "sold_out", "There is none left.", pointer="/chairs/0", headers={"Retry-After": "7"})

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("password=hunter2")

    @app.get("/outage")
    async def outage() -> None:
        raise OperationalError("postgresql://user:hunter2@host is away")

    @app.get("/trace")
    async def trace() -> str | None:
        return traceparent.get()

    return app


def assert_is_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    assert (answer.status, answer.headers["content-type"]) == (status, PROBLEM_JSON)
    problem: dict[str, Any] = answer.json
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"].endswith(code)
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


# --- problems ---


async def test_a_wrong_field_is_pointed_at(app: FastAPI) -> None:
    answer = await call(app, "POST", "/orders", headers=JSON, body=b'{"chairs": [{"legs": 4}, {"legs": 0}]}')
    problem = assert_is_problem(answer, 422, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/chairs/1/legs"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b'{"chairs": 1}', b"[" * 90])
async def test_a_body_that_is_no_order_is_the_callers_mistake(app: FastAPI, body: bytes) -> None:
    assert_is_problem(await call(app, "POST", "/orders", headers=JSON, body=body), 422, "invalid_request")


async def test_a_refusal_carries_its_code_pointer_and_headers(app: FastAPI) -> None:
    answer = await call(app, "GET", "/refused")
    problem = assert_is_problem(answer, 409, "sold_out")
    assert problem["errors"] == [{"pointer": "/chairs/0", "detail": "There is none left."}]
    assert answer.headers["retry-after"] == "7"


async def test_an_unknown_path_is_not_found(app: FastAPI) -> None:
    assert_is_problem(await call(app, "GET", "/nowhere"), 404, "not_found")


async def test_a_wrong_method_says_which_are_allowed(app: FastAPI) -> None:
    answer = await call(app, "DELETE", "/orders")
    assert_is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_a_wrong_method_is_told_all_methods_of_the_path_and_not_those_of_one_route(app: FastAPI) -> None:
    @app.get("/orders")
    async def orders() -> None: ...

    @app.get("/orders/{name}")
    async def named() -> None: ...

    @app.post("/orders/latest")
    async def latest() -> None: ...

    for path, allowed in {
        "/orders": "GET, POST",
        "/orders/": "GET, POST",
        "/orders/7": "GET",
        "/orders/latest": "POST",
    }.items():
        answer = await call(app, "DELETE", path)
        assert allowed in assert_is_problem(answer, 405, "method_not_allowed")["detail"]
        assert answer.headers["allow"] == allowed


async def test_a_wrong_method_of_a_path_that_is_not_described_is_refused_too(app: FastAPI) -> None:
    answer = await call(app, "DELETE", "/health/live")
    assert_is_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


async def test_a_bug_is_answered_without_telling_what_it_was(app: FastAPI) -> None:
    answer = await call(app, "GET", "/crash")
    assert_is_problem(answer, 500, "internal_error")
    assert b"hunter2" not in answer.content
    assert b"RuntimeError" not in answer.content


async def test_an_outage_asks_to_come_back_later_without_telling_of_what(app: FastAPI) -> None:
    answer = await call(app, "GET", "/outage")
    assert_is_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert b"hunter2" not in answer.content


# --- limits ---


async def test_a_body_of_exactly_the_limit_is_read(app: FastAPI) -> None:
    answer = await call(app, "POST", "/raw", headers={"content-length": str(LIMIT)}, body=b"x" * LIMIT)
    assert (answer.status, answer.json) == (200, LIMIT)


async def test_a_body_that_declares_too_much_is_refused_unread(app: FastAPI) -> None:
    answer = await call(app, "POST", "/raw", headers={"content-length": str(LIMIT + 1)}, body=b"")
    assert_is_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize("path", ["/raw", "/orders"])
async def test_a_body_that_grows_too_large_on_the_way_is_refused(app: FastAPI, path: str) -> None:
    answer = await call(app, "POST", path, headers=JSON, body=[b" " * 60, b" " * 60, b"{}"])
    assert_is_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize("declared", ["-1", "abc", "1e9", "٣"])
async def test_a_nonsensical_length_is_not_believed(app: FastAPI, declared: str) -> None:
    answer = await call(app, "POST", "/raw", headers={"content-length": declared}, body=b"x" * (LIMIT + 1))
    assert_is_problem(answer, 413, "body_too_large")


# --- the request's id and trace ---


async def test_the_callers_request_id_comes_back(app: FastAPI) -> None:
    answer = await call(app, "GET", "/trace", headers={"x-request-id": "my-id.1"})
    assert answer.headers["x-request-id"] == "my-id.1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb", "<script>"])
async def test_a_request_id_that_could_forge_a_log_line_is_replaced(app: FastAPI, given: str) -> None:
    answer = await call(app, "GET", "/trace", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] not in {"", given}


async def test_the_callers_trace_is_continued(app: FastAPI) -> None:
    assert (await call(app, "GET", "/trace", headers={"traceparent": TRACE})).json == TRACE


@pytest.mark.parametrize("given", ["", "junk", TRACE.replace("00-", "ff-", 1), f"00-{'0' * 32}-{'1' * 16}-01"])
async def test_a_malformed_trace_starts_a_new_one(app: FastAPI, given: str) -> None:
    trace: str = (await call(app, "GET", "/trace", headers={"traceparent": given})).json
    assert trace != given
    assert (len(trace), trace[:3]) == (len(TRACE), "00-")


# --- paths ---


@pytest.mark.parametrize("path", ["/trace", "/trace/"])
async def test_a_trailing_slash_makes_no_difference(app: FastAPI, path: str) -> None:
    assert (await call(app, "GET", path)).status == 200


async def test_an_encoded_slash_at_the_end_belongs_to_a_name_and_is_not_dropped(app: FastAPI) -> None:
    assert (await call(app, "GET", "/trace%2F")).status == 404
    assert (await call(app, "GET", "/trace%2F/")).status == 404


async def test_a_path_of_slashes_is_not_found(app: FastAPI) -> None:
    assert_is_problem(await call(app, "GET", "///"), 404, "not_found")


# --- health ---


async def passes() -> bool:
    return True


async def fails() -> bool:
    return False


async def raises() -> bool:
    raise OperationalError("away")


async def test_a_service_with_nothing_to_check_is_alive_and_ready(app: FastAPI) -> None:
    assert (await call(app, "GET", "/health/live")).status == 200
    assert (await call(app, "GET", "/health/ready")).status == 200


@pytest.mark.parametrize("check", [fails, raises])
async def test_a_failing_dependency_makes_a_service_unready_but_does_not_restart_it(
    app: FastAPI, health: Health, check: Any
) -> None:
    health.ready |= {"database": passes, "bus": check}
    answer = await call(app, "GET", "/health/ready")
    assert (answer.status, answer.json["checks"]) == (503, {"database": "ok", "bus": "failing"})
    assert (await call(app, "GET", "/health/live")).status == 200


async def test_a_service_that_is_not_alive_is_not_ready_either(app: FastAPI, health: Health) -> None:
    health.alive["consumers"] = fails
    assert (await call(app, "GET", "/health/live")).status == 503
    assert (await call(app, "GET", "/health/ready")).status == 503


async def test_a_stopping_service_is_alive_but_not_ready(app: FastAPI, health: Health) -> None:
    health.stop()
    assert (await call(app, "GET", "/health/live")).status == 200
    assert (await call(app, "GET", "/health/ready")).status == 503


async def test_the_metrics_are_in_prometheus_format(app: FastAPI) -> None:
    answer = await call(app, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"p3d_dead_letters" in answer.content

"""A request as a span: by its route, without what is nobody's business."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from libs.service_kit.tests.unit.asgi_client import call
from libs.service_kit.tests.unit.traced import kept_spans
from yarl import URL

from service_kit.asgi import service_app
from service_kit.health import Health
from service_kit.tracing import Kind, new_trace, same_trace, traceparent, within
from service_kit.tracing.http_spans import asking, note_answer, transferring


@asynccontextmanager
async def no_lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def app() -> FastAPI:
    app = service_app(lifespan=no_lifespan, health=Health())

    @app.get("/chairs/{job_id}")
    async def chair(job_id: str) -> str | None:
        if job_id == "broken":
            raise RuntimeError
        return traceparent.get()

    return app


async def test_a_request_is_named_by_its_route_and_continues_the_callers_trace(app: FastAPI) -> None:
    caller = new_trace(sampled=True)
    with kept_spans() as kept:
        answer = await call(
            app, "GET", "/chairs/7?key=hunter2", headers={"traceparent": caller, "x-api-key": "hunter2"}
        )
    (span,) = kept
    assert (span.operation.name, span.operation.kind) == ("GET /chairs/{job_id}", Kind.SERVER)
    assert span.operation.attributes["http.route"] == "/chairs/{job_id}"
    assert (span.attributes["http.response.status_code"], span.attributes["url.path"]) == (200, "/chairs/7")
    assert span.attributes["p3d.job.id"] == "7"
    assert span.parent == caller
    assert same_trace(span.context, caller)
    assert answer.json == span.context, "what the route does is under it"
    assert "hunter2" not in repr(kept)


@pytest.mark.parametrize(
    ("path", "status", "name", "error"),
    [
        ("/chairs/broken", 500, "GET /chairs/{job_id}", "500"),
        ("/nowhere/7", 404, "GET", None),
    ],
)
async def test_only_what_is_our_fault_is_an_error(
    app: FastAPI, path: str, status: int, name: str, error: str | None
) -> None:
    with kept_spans() as kept:
        assert (await call(app, "GET", path)).status == status
    assert [(span.operation.name, span.error) for span in kept] == [(name, error)]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
async def test_what_machines_ask_every_few_seconds_leaves_no_span(app: FastAPI, path: str) -> None:
    with kept_spans() as kept:
        await call(app, "GET", path)
    assert kept == []


async def test_a_request_that_is_not_sampled_leaves_no_span_and_passes_that_on(app: FastAPI) -> None:
    caller = new_trace(sampled=True)
    with kept_spans(sampling=False) as kept:
        answer = await call(app, "GET", "/chairs/7", headers={"traceparent": caller})
    assert kept == []
    assert answer.json == caller[:-2] + "00"


def test_a_question_to_a_service_of_ours_is_told_what_to_continue() -> None:
    with (
        kept_spans() as kept,
        within(new_trace(sampled=True)),
        asking("POST", "http://me:pw@here:81/x", "/grants") as span,
    ):
        note_answer(span, 503)
    (only,) = kept
    assert only.context == span.context
    assert (only.operation.name, only.operation.kind, only.error) == ("POST /grants", Kind.CLIENT, "503")
    assert only.operation.attributes["url.full"] == "http://here:81/x/grants"
    assert (only.operation.attributes["server.address"], only.operation.attributes["server.port"]) == ("here", 81)


def test_of_a_stores_url_only_the_host_is_told() -> None:
    signed = URL("https://store.example/bucket/uploads/secret-name.png?X-Amz-Signature=hunter2")
    with kept_spans() as kept, within(new_trace(sampled=True)), transferring("PUT", signed) as span:
        note_answer(span, 200)
    assert kept.names == ["PUT /{bucket}/{object}"]
    assert kept[0].operation.attributes["server.address"] == "store.example"
    assert not {"hunter2", "secret-name"} & set(repr(kept).replace(".", " ").split())
    assert "hunter2" not in repr(kept)

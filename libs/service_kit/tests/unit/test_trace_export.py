"""From a span to the collector, through whatever becomes of the collector."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from devstack.otlp.receiver import OtlpReceiver
from service_kit.tracing import Kind, Operation, is_recording, new_trace, open_tracing, record
from service_kit.tracing.spans import begin_trace

WORK = Operation("work", Kind.CLIENT, {"server.address": "here"})


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        yield receiver


def work(count: int = 1) -> None:
    for _ in range(count):
        record(WORK, new_trace(sampled=True), None, started_ns=time.time_ns(), attributes={"n": 1}, error="broken")


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("p3d_trace_spans_total", {"outcome": outcome}) or 0.0


async def test_a_span_arrives_with_all_it_has_and_the_service_it_is_of(collector: OtlpReceiver) -> None:
    with open_tracing("service-kit"):
        work()
        await collector.until(lambda spans: len(spans) == 1)
    (span,) = collector.spans
    assert (span.name, span.kind, span.parent_id, span.error) == ("work", "CLIENT", "", "broken")
    assert span.attributes == {"server.address": "here", "n": 1, "error.type": "broken"}
    assert span.resource["service.name"] == "p3d-service-kit"
    assert span.resource["service.version"]
    assert not is_recording(), "off again when the block is left"


async def test_the_environment_names_the_service_and_what_else_there_is_to_say_of_it(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=the%20lab,service.namespace=other")
    with open_tracing("service-kit"):
        work()
        await collector.until(lambda spans: len(spans) == 1)
    resource = collector.spans[0].resource
    assert resource["service.name"] == "mine"
    assert resource["deployment.environment.name"] == "the lab"
    assert resource["service.namespace"] == "other"


async def test_headers_and_compression_are_as_the_environment_says(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=a%20key,x-tenant=1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with open_tracing("service-kit"):
        work(100)
        await collector.until(lambda spans: len(spans) == 100)
    headers = {name.lower(): value for name, value in collector.headers.items()}
    assert (headers["x-collector-key"], headers["x-tenant"], headers["content-encoding"]) == ("a key", "1", "gzip")


async def test_what_waits_is_sent_when_the_process_stops(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    await asyncio.to_thread(traced_work, 700)
    assert len(collector.spans) == 700


def traced_work(count: int) -> None:
    with open_tracing("service-kit"):
        work(count)


async def test_a_collector_that_is_busy_is_asked_again(collector: OtlpReceiver) -> None:
    collector.status = 503
    with open_tracing("service-kit"):
        work()
        async with asyncio.timeout(20):
            while collector.requests < 2:  # noqa: ASYNC110  # it says nothing of requests it refuses
                await asyncio.sleep(0.01)
        collector.status = 200
        await collector.until(lambda spans: len(spans) == 1)


async def test_spans_that_a_collector_refuses_are_counted_and_given_up(collector: OtlpReceiver) -> None:
    collector.status, before = 400, counted("failed")
    await asyncio.to_thread(traced_work, 3)
    assert counted("failed") == before + 3
    assert collector.requests == 1


def test_while_nobody_listens_nothing_waits_and_what_does_not_fit_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    before = counted("dropped")
    with open_tracing("service-kit"):
        began = time.monotonic()
        work(1000)
        assert time.monotonic() - began < 0.5
        assert counted("dropped") == before + 990


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        ("always_on", "", (200, 200, 200)),
        ("always_off", "", (0, 0, 0)),
        ("parentbased_always_on", "", (200, 0, 200)),
        ("parentbased_traceidratio", "0", (200, 0, 0)),
        ("traceidratio", "0", (0, 0, 0)),
        ("parentbased_traceidratio", "0.5", (200, 0, pytest.approx(100, abs=60))),
    ],
)
def test_the_standard_samplers_decide(
    monkeypatch: pytest.MonkeyPatch, sampler: str, argument: str, expected: tuple[object, ...]
) -> None:
    """Of callers that are sampled, of others, and of callers without a trace."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)

    def sampled(parents: list[str | None]) -> int:
        return sum(begin_trace(parent, "GET").endswith("01") for parent in parents)

    with open_tracing("service-kit"):
        of_sampled = sampled([new_trace(sampled=True) for _ in range(200)])
        of_others = sampled([new_trace(sampled=False) for _ in range(200)])
        assert (of_sampled, of_others, sampled([None] * 200)) == expected

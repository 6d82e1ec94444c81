"""One job is one trace, through all four services: seen by a collector that the services really send to."""

import json
import re
from collections.abc import AsyncIterator, Sequence

import pytest
from conftest import LEASE_TTL_SECONDS, SUPERUSER
from outline import outline, written
from steps import ASSETS, Raw, eventually, over, running, serves, simulated, uploaded

from devstack.addresses import ServerAddresses
from devstack.api_client import ApiClient
from devstack.databases import isolated_and_prepared
from devstack.otlp.received_span import ReceivedSpan
from devstack.otlp.receiver import OtlpReceiver
from devstack.otlp.trace_tree import lines, trees
from devstack.services import Service, StackSettings
from devstack.stack import Stack

pytestmark = pytest.mark.xdist_group("traces")


@pytest.fixture(scope="module")
async def collector() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
async def stack(
    servers: ServerAddresses, collector: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    settings = StackSettings(
        state_directory=tmp_path_factory.mktemp("traced"),
        superuser=SUPERUSER,
        worker_models="silhouette-v1:1,simulated-v1:2",
        log_format="json",
        common={
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_TRACES_SAMPLER": "parentbased_always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        },
        extra={
            Service.ORCHESTRATOR: {"LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS), "SWEEP_INTERVAL_SECONDS": "0.3"},
            Service.GPU_WORKER: {
                "HEARTBEAT_INTERVAL_SECONDS": "0.5",
                "LEASE_TTL_SECONDS": str(LEASE_TTL_SECONDS),
                "STAGE_REPORT_AFTER_MS": "600000",  # which stages take long enough to be told of is no matter of traces
            },
        },
    )
    async with isolated_and_prepared(servers, SUPERUSER) as own, Stack(own, settings) as running_stack:
        async with ApiClient(running_stack.api_url, running_stack.api_key) as api:
            await eventually(lambda: serves(api, {"silhouette-v1", "simulated-v1"}))
        yield running_stack


async def trace_of(collector: OtlpReceiver, job_id: str, last: Sequence[str]) -> list[ReceivedSpan]:
    """The spans of the job's trace, once those with these names are there, nothing hangs in the air, and all that was said was
    heard."""

    def found() -> str | None:
        return next(
            (
                span.trace_id
                for span in collector.spans
                if span.name == "publish jobs:job.requested" and span.attributes["p3d.job.id"] == job_id
            ),
            None,
        )

    def is_whole(_spans: Sequence[ReceivedSpan]) -> bool:
        trace_id = found()
        if trace_id is None:
            return False
        spans = collector.trace(trace_id)
        names, known = [span.name for span in spans], {span.span_id for span in spans}
        orphans = [span for span in spans if span.parent_id and span.parent_id not in known]
        parents = {span.parent_id for span in spans}
        unheard = [span for span in spans if span.kind == "PRODUCER" and span.span_id not in parents]
        return set(last) <= set(names) and not orphans and not unheard

    await collector.until(is_whole)
    trace_id = found()
    assert trace_id is not None
    spans = collector.trace(trace_id)
    print("\n" + "\n".join(line for tree in trees(spans) for line in lines(tree, collector.spans)))
    return spans


def told(event: str) -> list[str]:
    """The last spans that an event of a job leaves."""
    return [f"process jobs:job.{event}:gateway.projection", f"process jobs:job.{event}:artifacts.outcomes"]


async def test_a_job_with_an_image_and_a_model_is_one_connected_trace(api: ApiClient, collector: OtlpReceiver) -> None:
    object_name = await uploaded(api, (ASSETS / "coffee-cutout.png").read_bytes())
    job = await api.create_job("silhouette-v1", {"image_path": object_name, "texture_resolution": 256})
    assert (await over(api, job["id"]))["status"] == "SUCCEEDED"

    spans = await trace_of(collector, job["id"], [*told("succeeded"), "process jobs:job.queued:artifacts.inputs"])

    assert outline(spans) == written("""
        gateway SERVER POST /api/v1/jobs
          gateway CLIENT POST /internal/gateway/upload-checks
            artifacts SERVER POST /internal/gateway/upload-checks
              artifacts CLIENT HEAD /{bucket}/{object}
          gateway PRODUCER publish jobs:job.requested
            orchestrator CONSUMER process jobs:job.requested:orchestrator.requests
              orchestrator PRODUCER publish jobs:job.queued
                gateway CONSUMER process jobs:job.queued:gateway.projection
                artifacts CONSUMER process jobs:job.queued:artifacts.inputs
                  artifacts CLIENT HEAD /{bucket}/{object}
              orchestrator PRODUCER publish gpu:attempt.run
                gpu-worker CONSUMER process gpu:attempt.run.silhouette-v1:gpu-worker.tasks.silhouette-v1
                  gpu-worker PRODUCER publish gpu:attempt.started
                    orchestrator CONSUMER process gpu:attempt.started:orchestrator.reports
                      orchestrator PRODUCER publish jobs:job.started
                        gateway CONSUMER process jobs:job.started:gateway.projection
                  gpu-worker INTERNAL stage download
                    gpu-worker CLIENT POST /internal/worker/input-grants
                      artifacts SERVER POST /internal/worker/input-grants
                    gpu-worker CLIENT GET /{bucket}/{object}
                  gpu-worker INTERNAL stage load
                  gpu-worker INTERNAL stage segment
                  gpu-worker INTERNAL stage inflate
                  gpu-worker INTERNAL stage texture
                  gpu-worker INTERNAL stage export
                  gpu-worker INTERNAL stage upload
                    gpu-worker CLIENT POST /internal/worker/output-grants
                      artifacts SERVER POST /internal/worker/output-grants
                    gpu-worker CLIENT PUT /{bucket}/{object}
                    gpu-worker CLIENT PUT /{bucket}/{object}
                    gpu-worker CLIENT POST /internal/worker/registrations
                      artifacts SERVER POST /internal/worker/registrations
                        artifacts CLIENT GET /{bucket}/{object}
                        artifacts CLIENT GET /{bucket}/{object}
                  gpu-worker INTERNAL attempt silhouette-v1
                    gpu-worker PRODUCER publish gpu:attempt.succeeded
                      orchestrator CONSUMER process gpu:attempt.succeeded:orchestrator.reports
                        orchestrator PRODUCER publish jobs:job.succeeded
                          gateway CONSUMER process jobs:job.succeeded:gateway.projection
                          artifacts CONSUMER process jobs:job.succeeded:artifacts.outcomes
    """)
    of_the_job = [span for span in spans if span.kind not in {"CLIENT", "SERVER"} and "stage" not in span.name]
    assert {span.attributes["p3d.job.id"] for span in of_the_job} == {job["id"]}
    (attempt,) = [span for span in spans if span.name == "attempt silhouette-v1"]
    assert attempt.attributes["p3d.attempt.number"] == 1


async def test_each_commit_is_linked_with_the_jobs_it_served(api: ApiClient, collector: OtlpReceiver) -> None:
    job_id = await simulated(api, output_bytes=0)
    await over(api, job_id)
    spans = await trace_of(collector, job_id, told("succeeded"))
    served = [span for span in spans if span.service == "p3d-orchestrator" and span.kind == "CONSUMER"]
    assert len(served) == 3, "requested, started, succeeded"
    for span in served:
        ((trace_id, commit_id),) = span.links
        (commit,) = collector.trace(trace_id)
        assert (commit.span_id, commit.name, commit.service, commit.parent_id) == (
            commit_id,
            "commit",
            "p3d-orchestrator",
            "",
        )
        assert (span.trace_id, span.span_id) in commit.links
        assert span.started_ns <= commit.ended_ns == span.ended_ns


async def test_an_attempt_that_failed_and_the_next_are_in_the_same_trace(
    api: ApiClient, collector: OtlpReceiver
) -> None:
    job_id = await simulated(api, outcome="fail_retryable", output_bytes=0)
    assert (await over(api, job_id))["status"] == "FAILED"

    spans = await trace_of(collector, job_id, told("failed"))

    attempt = """
              orchestrator PRODUCER publish gpu:attempt.run
                gpu-worker CONSUMER process gpu:attempt.run.simulated-v1:gpu-worker.tasks.simulated-v1
                  gpu-worker PRODUCER publish gpu:attempt.started
                    orchestrator CONSUMER process gpu:attempt.started:orchestrator.reports
                      orchestrator PRODUCER publish jobs:job.started
                        gateway CONSUMER process jobs:job.started:gateway.projection
                  gpu-worker INTERNAL stage generate ! engine_unavailable
                  gpu-worker INTERNAL attempt simulated-v1 ! engine_unavailable
                    gpu-worker PRODUCER publish gpu:attempt.failed
                      orchestrator CONSUMER process gpu:attempt.failed:orchestrator.reports
    """
    retried = """
                        orchestrator PRODUCER publish jobs:job.retry_scheduled
                          gateway CONSUMER process jobs:job.retry_scheduled:gateway.projection
    """
    failed = """
                        orchestrator PRODUCER publish jobs:job.failed
                          gateway CONSUMER process jobs:job.failed:gateway.projection
                          artifacts CONSUMER process jobs:job.failed:artifacts.outcomes
    """
    begun = """
        gateway SERVER POST /api/v1/jobs
          gateway PRODUCER publish jobs:job.requested
            orchestrator CONSUMER process jobs:job.requested:orchestrator.requests
              orchestrator PRODUCER publish jobs:job.queued
                gateway CONSUMER process jobs:job.queued:gateway.projection
                artifacts CONSUMER process jobs:job.queued:artifacts.inputs
    """
    story = begun + attempt + retried + attempt + retried + attempt + failed
    assert outline(spans, without=["stage load"]) == written(story)
    attempts = [span for span in spans if span.name == "attempt simulated-v1"]
    assert [span.attributes["p3d.attempt.number"] for span in attempts] == [1, 2, 3]
    assert len({span.attributes["p3d.attempt.id"] for span in attempts}) == 3
    assert {span.attributes["error.type"] for span in attempts} == {"engine_unavailable"}


async def test_a_cancelled_job_and_the_request_to_cancel_it_lead_to_each_other(
    api: ApiClient, raw: Raw, collector: OtlpReceiver
) -> None:
    job_id = await simulated(api, duration_seconds=600, steps=6000)

    async def has_progressed() -> bool:
        return bool((await api.job(job_id))["progress_percent"])

    await eventually(has_progressed)
    await raw("POST", f"/jobs/{job_id}/cancel")
    assert (await over(api, job_id, within_seconds=10))["status"] == "CANCELLED"

    spans = await trace_of(collector, job_id, told("cancelled"))

    assert outline(spans, without=["stage load"]) == written("""
        gateway SERVER POST /api/v1/jobs
          gateway PRODUCER publish jobs:job.requested
            orchestrator CONSUMER process jobs:job.requested:orchestrator.requests
              orchestrator PRODUCER publish jobs:job.queued
                gateway CONSUMER process jobs:job.queued:gateway.projection
                artifacts CONSUMER process jobs:job.queued:artifacts.inputs
              orchestrator INTERNAL decide JobCancelRequested
                orchestrator PRODUCER publish jobs:job.cancelling
                  gateway CONSUMER process jobs:job.cancelling:gateway.projection
                orchestrator PRODUCER publish gpu:attempt.abort
                  gpu-worker CONSUMER process gpu:attempt.abort:gpu-worker.control
              orchestrator PRODUCER publish gpu:attempt.run
                gpu-worker CONSUMER process gpu:attempt.run.simulated-v1:gpu-worker.tasks.simulated-v1
                  gpu-worker PRODUCER publish gpu:attempt.started
                    orchestrator CONSUMER process gpu:attempt.started:orchestrator.reports
                      orchestrator PRODUCER publish jobs:job.started
                        gateway CONSUMER process jobs:job.started:gateway.projection
                  gpu-worker INTERNAL stage generate ! cancelled
                  gpu-worker INTERNAL attempt simulated-v1 ! cancelled
                    gpu-worker PRODUCER publish gpu:attempt.failed
                      orchestrator CONSUMER process gpu:attempt.failed:orchestrator.reports
                        orchestrator PRODUCER publish jobs:job.cancelled
                          gateway CONSUMER process jobs:job.cancelled:gateway.projection
                          artifacts CONSUMER process jobs:job.cancelled:artifacts.outcomes
    """)
    (decided,) = [span for span in spans if span.name == "decide JobCancelRequested"]
    ((cancel_trace, heard_id),) = [link for link in decided.links if "commit" not in names_of(collector, link[0])]
    cancel = collector.trace(cancel_trace)
    assert outline(cancel) == written("""
        gateway SERVER POST /api/v1/jobs/{job_id}/cancel
          gateway PRODUCER publish jobs:job.cancel_requested
            orchestrator CONSUMER process jobs:job.cancel_requested:orchestrator.requests
    """)
    (heard,) = [span for span in cancel if span.span_id == heard_id]
    assert (decided.trace_id, decided.span_id) in heard.links


def names_of(collector: OtlpReceiver, trace_id: str) -> set[str]:
    return {span.name for span in collector.trace(trace_id)}


async def test_an_attempt_whose_worker_died_is_said_to_be_lost_by_the_orchestrator(
    api: ApiClient, collector: OtlpReceiver, stack: Stack
) -> None:
    job_id = await simulated(api, duration_seconds=2, steps=2, output_bytes=0)
    await running(api, job_id)
    await stack.kill("gpu_worker-1")
    await stack.start("gpu_worker-1")
    assert (await over(api, job_id))["attempt"] == 2

    def has_ended(spans: Sequence[ReceivedSpan]) -> bool:
        return any(span.name in told("succeeded") and span.attributes["p3d.job.id"] == job_id for span in spans)

    await collector.until(has_ended)
    spans = [span for span in collector.spans if span.attributes.get("p3d.job.id") == job_id]
    (lost,) = [span for span in spans if span.name == "decide LeaseLapsed"]
    (attempt,) = [span for span in spans if span.name == "attempt simulated-v1"]
    assert (lost.error, lost.kind, lost.service) == ("worker_lost", "INTERNAL", "p3d-orchestrator")
    assert (attempt.attributes["p3d.attempt.number"], attempt.error) == (2, None)
    assert attempt.trace_id == lost.trace_id
    await stack.wait_ready()


async def test_what_a_caller_does_not_sample_leaves_no_span(raw: Raw, api: ApiClient, collector: OtlpReceiver) -> None:
    unsampled, sampled = f"00-{'5' * 32}-{'6' * 16}-00", f"00-{'7' * 32}-{'8' * 16}-01"
    body = {"model_id": "simulated-v1", "input_params": {"duration_seconds": 0, "output_bytes": 0}}
    for context in (unsampled, sampled):
        _, _, job = await raw("POST", "/jobs/", json=body, headers={"traceparent": context})
        await over(api, job["id"])
    await collector.until(lambda _spans: set(told("succeeded")) <= names_of(collector, "7" * 32))
    assert collector.trace("5" * 32) == []
    (request,) = [span for span in collector.trace("7" * 32) if span.kind == "SERVER"]
    assert request.parent_id == "8" * 16, "the caller's trace goes on"


async def test_nothing_that_is_secret_or_private_is_in_any_span(
    api: ApiClient, raw: Raw, collector: OtlpReceiver, stack: Stack
) -> None:
    picture = await uploaded(api, b"no picture at all")
    refused = await api.create_job("silhouette-v1", {"image_path": picture})
    prompted = await raw(
        "POST", "/jobs/", json={"model_id": "dreamfusion-sd", "input_params": {}, "prompt": "a purple secret"}
    )
    await raw("GET", "/jobs?cursor=a-purple-secret", headers={"x-api-key": "a purple secret"})
    await over(api, refused["id"])
    made = await simulated(api)
    await over(api, made)
    await api.fetch(await api.download_url(made))
    await trace_of(collector, made, told("succeeded"))
    await trace_of(collector, refused["id"], told("failed"))
    assert prompted[0] == 201

    everything = json.dumps([[s.name, dict(s.attributes), dict(s.resource), s.error] for s in collector.spans])

    assert len(collector.spans) > 100
    store = stack.servers.s3
    secrets = [
        SUPERUSER.api_key,
        SUPERUSER.password,
        store.secret_key,
        stack.servers.rabbitmq_url,
        picture,
    ]
    assert [secret for secret in secrets if secret in everything] == []
    assert re.findall(r"(?i)purple|x-amz|signature|bearer|password|authorization|\?[a-z]+=|://[^/]*@", everything) == []

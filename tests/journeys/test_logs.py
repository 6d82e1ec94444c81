"""What a stack writes while jobs succeed and fail and its servers come and go: enough to see why, little enough to be read, and
no secret."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from log_lines import Logs, children_seen_from_outside, secrets_of
from steps import Raw, eventually, over, running, serves, simulated

from devstack.addresses import ServerAddresses
from devstack.api_client import ApiClient
from devstack.databases import isolated_and_prepared
from devstack.services import Service, StackSettings, Superuser, database_url, service_broker_url
from devstack.severable import SeverableWay
from devstack.stack import Stack

pytestmark = pytest.mark.xdist_group("logs")

SUPERUSER = Superuser("logs", "correct horse battery staple", "logs-key-0123456789abcdef")
WRONG_PASSWORD = "wrong-but-secret-all-the-same"
OUTAGE_SECONDS = 4.0
SPECS = Path(__file__).parents[2] / "specs"


@dataclass
class Observed:
    stack: Stack
    api: ApiClient
    raw: Raw
    logs: Logs
    ways: dict[str, SeverableWay]
    secrets: dict[str, str]
    pages: list[str]
    """What was answered that a secret could be in: problems, metrics."""
    lines_in_outage: dict[str, dict[str, int]]
    """By server and process."""


@pytest.fixture(scope="module")
async def observed(servers: ServerAddresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Observed]:
    """A stack that has had a life: jobs that end in every way, each server away for a while, a start with a wrong password."""
    async with (
        isolated_and_prepared(servers, SUPERUSER) as own,
        SeverableWay(own.rabbitmq_url) as rabbitmq,
        SeverableWay(own.postgres_admin_url) as postgres,
        SeverableWay(own.s3.endpoint) as s3,
    ):
        ways = {"rabbitmq": rabbitmq, "postgres": postgres, "s3": s3}
        settings = _settings(own, ways, tmp_path_factory.mktemp("logs"))
        async with (
            Stack(own, settings) as stack,
            ApiClient(stack.api_url, stack.api_key) as api,
            aiohttp.ClientSession() as http,
        ):
            raw = Raw(http, f"{stack.api_url}/api/v1", stack.api_key)
            it = Observed(stack, api, raw, Logs(settings), ways, secrets_of(stack), [], {})
            await _live(it, own)
            yield it


def _settings(own: ServerAddresses, ways: dict[str, SeverableWay], folder: Path) -> StackSettings:
    extra: dict[Service, dict[str, str]] = {}
    for service in Service:
        extra[service] = {"RABBITMQ_URL": ways["rabbitmq"].leading_to(service_broker_url(own.broker, service))}
        if service is not Service.GPU_WORKER:
            extra[service]["DATABASE_URL"] = ways["postgres"].leading_to(database_url(own.postgres_admin_url, service))
    extra[Service.ARTIFACTS] |= {"MINIO_ENDPOINT": ways["s3"].url, "MINIO_WORKER_ENDPOINT": ways["s3"].url}
    extra[Service.ARTIFACTS] |= {"MINIO_PUBLIC_ENDPOINT": own.s3.endpoint}
    return StackSettings(
        state_directory=folder,
        superuser=SUPERUSER,
        worker_models="simulated-v1:4",
        log_format="json",
        common={"SLOW_REQUEST_MS": "60000"},  # what is slow here is the machine that runs the tests
        extra=extra,
    )


async def _live(it: Observed, own: ServerAddresses) -> None:
    await eventually(lambda: serves(it.api, {"simulated-v1"}))
    for outcome in ("succeed", "fail_fatal", "out_of_memory", "crash"):
        await over(it.api, await simulated(it.api, outcome=outcome))
    cancelled = await simulated(it.api, duration_seconds=600, steps=600)
    await running(it.api, cancelled)
    await it.api.cancel(cancelled)
    await over(it.api, cancelled)
    for server, way in it.ways.items():
        await _outage(it, server, way)
    await over(it.api, await simulated(it.api), within_seconds=120)  # behind all that were asked for meanwhile
    await it.stack.stop("orchestrator-1")
    wrong = database_url(own.postgres_admin_url, Service.ORCHESTRATOR)
    wrong = re.sub(r":[^:@/]+@", f":{WRONG_PASSWORD}@", wrong)
    await it.stack.start_with("orchestrator-1", {"DATABASE_URL": wrong})
    await it.stack.wait_ended("orchestrator-1")
    await it.stack.start("orchestrator-1")
    await it.stack.wait_ready("orchestrator-1")
    it.secrets["a wrong password"] = WRONG_PASSWORD
    it.pages += [await _page(it, name) for name in it.stack.names()]


async def _outage(it: Observed, server: str, way: SeverableWay) -> None:
    """Under requests of many kinds, as fast as they are answered."""
    before = it.logs.counts()
    way.cut()
    until = time.monotonic() + OUTAGE_SECONDS
    await asyncio.gather(*(_press(it, until) for _ in range(2)))
    it.lines_in_outage[server] = {name: count - before[name] for name, count in it.logs.counts().items()}
    await way.mend()
    await it.stack.wait_ready()


async def _press(it: Observed, until: float) -> None:
    while time.monotonic() < until:
        body: dict[str, Any] = {"model_id": "simulated-v1", "input_params": {"duration_seconds": 0, "steps": 1}}
        for method, path, more in (
            ("POST", "/jobs", {"json": body}),
            ("GET", "/jobs", {}),
            ("POST", "/jobs/upload-ticket", {"json": {"filename": "a.png", "content_type": "image/png"}}),
            ("GET", "/jobs", {"headers": {"x-api-key": "somebody-elses-guess"}}),
        ):
            status, _, problem = await it.raw(method, path, **more)
            if status >= 400:
                it.pages.append(str(problem))


async def _page(it: Observed, name: str) -> str:
    async with it.raw.session.get(f"{it.stack.url(name)}/metrics") as response:
        return await response.text()


async def test_no_secret_is_in_any_line_of_any_process(observed: Observed) -> None:
    assert len(observed.secrets) > 10  # as many as there are at least, or the search found nothing to look for
    for process, text in observed.logs.texts().items():
        leaked = [where for where, secret in observed.secrets.items() if secret in text]
        assert not leaked, f"the log of {process} shows: {leaked}"
        assert "X-Amz-Signature=" not in text.replace("X-Amz-Signature=[redacted]", "")


async def test_no_secret_is_in_problems_metrics_or_specs(observed: Observed) -> None:
    assert any("503" in page for page in observed.pages)
    pages = [*observed.pages, *(file.read_text() for file in SPECS.iterdir())]
    assert not [where for where, secret in observed.secrets.items() if any(secret in page for page in pages)]


async def test_no_secret_is_in_what_an_engines_process_can_read_of_itself(observed: Observed) -> None:
    await over(observed.api, await simulated(observed.api))  # so that one is warm
    pid = observed.stack.pid("gpu_worker-1")
    assert pid is not None
    children = children_seen_from_outside(pid)
    assert any("engine_child" in seen for seen in children.values())
    for seen in children.values():
        assert not [where for where, secret in observed.secrets.items() if secret in seen]


async def test_every_line_is_json_with_the_fields_that_all_lines_have(observed: Observed) -> None:
    for line in observed.logs.all_lines():
        assert line.keys() >= {"timestamp", "level", "service", "event", "instance"}


async def test_an_outage_under_load_is_tens_of_lines_and_not_thousands(observed: Observed) -> None:
    """At most ten of a kind at once and one in five seconds after that, as a minute would show it too."""
    for server, counts in observed.lines_in_outage.items():
        for process, count in counts.items():
            assert count < 150, f"{process} wrote {count} lines while {server} was away for {OUTAGE_SECONDS} s"
        assert sum(counts.values()) > 0, f"nobody noticed that {server} was away"


async def test_a_wrong_password_at_start_is_a_sentence_that_names_the_user(observed: Observed) -> None:
    failed = [line for line in observed.logs.lines("orchestrator-1") if line["event"] == "process.start.failed"]
    assert [("p3d_orchestrator" in line["error"], "exception" in line) for line in failed] == [(True, False)]


async def test_nothing_of_what_happened_was_taken_for_a_bug(observed: Observed) -> None:
    """Libraries take what is away for an error, with its stack; we know better."""
    ours = [line for line in observed.logs.all_lines() if "logger" not in line]
    assert [line for line in ours if "exception" in line] == []


async def test_a_failed_job_is_found_in_every_service_by_its_trace(observed: Observed) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = {"model_id": "simulated-v1", "input_params": {"duration_seconds": 0, "outcome": "fail_fatal"}}
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    _, _, job = await observed.raw("POST", "/jobs", json=body, headers=headers)
    await over(observed.api, job["id"])
    (line,) = [line for line in observed.logs.lines("gpu_worker-1") if line.get("job_id") == job["id"]]
    assert (line["event"], line["trace_id"], line["model"]) == ("gpu_worker.attempt.failed", trace_id, "simulated-v1")
    assert line["attempt_id"]


async def test_jobs_that_go_well_leave_next_to_no_lines(observed: Observed) -> None:
    before = observed.logs.counts()
    jobs = await asyncio.gather(*(simulated(observed.api) for _ in range(100)))
    await asyncio.gather(*(over(observed.api, job) for job in jobs))
    written = observed.logs.counts() - before
    polled = 100  # each GET counts as a request of which every hundredth has a line
    assert sum(written.values()) < len(jobs) / 5 + polled / 5

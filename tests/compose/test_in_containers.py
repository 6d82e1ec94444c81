"""The whole stack as `docker compose up` makes it, used from outside the containers. Run by `make compose-test`."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compose_project import CommandFailedError, ComposeProject, run
from steps import eventually, over, simulated, uploaded

from devstack.api_client import ApiClient, ApiProblemError
from devstack.glb import summarise

SERVICES = ("gateway", "orchestrator", "artifacts", "gpu-worker")
PATIENCE_SECONDS = 180.0
"""A lease of 15 s, a sweep, a start of a worker or a broker; on a machine that has other things to do."""


async def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """docker's commands take seconds; meanwhile clients go on."""
    return await asyncio.to_thread(function, *arguments, **named)


def up(project: ComposeProject, *arguments: str) -> None:
    project.compose("up", "--detach", "--wait", "--wait-timeout", "300", *arguments)


def metric(project: ComposeProject, container: str, port: int, name: str) -> float:
    """The sum of all its series, as that container shows it on the network behind."""
    code = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/metrics').read().decode())"
    lines = project.execute(container, "python", "-c", code).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


# --- what a user sees ---


async def test_a_photo_becomes_a_model_by_the_published_ports_alone(api: ApiClient, assets: Path) -> None:
    object_name = await uploaded(api, (assets / "coffee-cutout.png").read_bytes())
    job = await api.create_job("silhouette-v1", {"image_path": object_name, "texture_resolution": 512})
    assert (await over(api, job["id"], within_seconds=PATIENCE_SECONDS))["status"] == "SUCCEEDED"
    summary = summarise(await api.fetch(await api.download_url(job["id"])))
    assert summary.triangles > 1000
    assert summary.texture_sizes[0] == (512, 512)


async def test_a_running_job_is_cancelled(api: ApiClient) -> None:
    job = await simulated(api, duration_seconds=600, steps=600)
    await eventually(lambda: is_running(api, job))
    began = time.monotonic()
    await api.cancel(job)
    assert (await over(api, job))["status"] == "CANCELLED"
    assert time.monotonic() - began < 10


async def test_an_engine_that_crashes_is_tried_again(api: ApiClient) -> None:
    job = await over(api, await simulated(api, outcome="crash"), within_seconds=PATIENCE_SECONDS)
    assert (job["status"], job["error"]["code"]) == ("FAILED", "engine_crashed")
    assert job["attempt"] > 1
    assert "job.retry_scheduled" in [event["type"] for event in await api.events(job["id"])]


async def test_what_is_for_the_inside_is_not_shown_outside(running: ComposeProject) -> None:
    with pytest.raises(CommandFailedError, match="404"):
        run("curl", "--fail", "--silent", "--show-error", f"{running.api_url}/metrics")


# --- what happens to it ---


async def test_the_job_of_a_killed_worker_is_rescued_and_the_worker_comes_back(
    running: ComposeProject, api: ApiClient
) -> None:
    job = await simulated(api, duration_seconds=20, steps=20)
    await eventually(lambda: is_running(api, job))
    (worker,) = running.containers("gpu-worker")
    began = time.monotonic()
    # Everything in it but init, at once, and not by docker's hand: which would be taken for a wish.
    with pytest.raises(CommandFailedError):
        await in_thread(running.execute, worker, "sh", "-c", "kill -9 -1; sleep 60")
    ended = await over(api, job, within_seconds=PATIENCE_SECONDS)
    assert (ended["status"], ended["attempt"]) == ("SUCCEEDED", 2)
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert running.inspect(worker)[0]["RestartCount"] == 1


async def test_more_gateways_and_workers_share_the_work_and_one_that_stops_is_not_noticed(
    running: ComposeProject, api: ApiClient
) -> None:
    await in_thread(up, running, "--no-recreate", "--scale", "gateway=2", "--scale", "gpu-worker=3")
    try:
        workers, gateways = running.containers("gpu-worker"), running.containers("gateway")
        assert (len(workers), len(gateways)) == (3, 2)

        jobs = await asyncio.gather(*(simulated(api, duration_seconds=2) for _ in range(24)))
        await asyncio.gather(*(done(api, job) for job in jobs))
        assert all(metric(running, worker, 8003, "p3d_worker_attempts_total") > 0 for worker in workers)
        assert all(metric(running, gateway, 8000, "p3d_http_request_seconds_count") > 10 for gateway in gateways)

        clients = asyncio.create_task(ask_until_told(api))
        await in_thread(run, "docker", "stop", "--time", "50", gateways[0])
        clients.cancel()
        assert await clients > 100
    finally:
        await in_thread(up, running, "--scale", "gateway=1", "--scale", "gpu-worker=1")


async def test_a_restarted_broker_loses_nothing(running: ComposeProject, api: ApiClient) -> None:
    jobs = [await simulated(api, duration_seconds=5, steps=5) for _ in range(8)]
    await in_thread(running.compose, "restart", "rabbitmq")
    assert [(await over(api, job, within_seconds=PATIENCE_SECONDS))["status"] for job in jobs] == ["SUCCEEDED"] * 8
    await eventually(lambda: accepts(api), within_seconds=PATIENCE_SECONDS)


async def test_a_broker_without_its_disk_is_whole_again_by_itself(running: ComposeProject, api: ApiClient) -> None:
    job = await simulated(api, duration_seconds=30, steps=30)
    await eventually(lambda: is_running(api, job))
    (broker,) = running.containers("rabbitmq")
    await in_thread(run, "docker", "rm", "--force", broker)
    await in_thread(run, "docker", "volume", "rm", f"{running.name}_rabbitmq")
    await in_thread(up, running, "rabbitmq")
    assert (await over(api, job, within_seconds=PATIENCE_SECONDS))["status"] == "SUCCEEDED"
    await eventually(lambda: accepts(api), within_seconds=PATIENCE_SECONDS)


async def test_down_and_up_keeps_every_job_and_the_key(running: ComposeProject, api: ApiClient, assets: Path) -> None:
    object_name = await uploaded(api, (assets / "coffee-cutout.png").read_bytes())
    job = await api.create_job("silhouette-v1", {"image_path": object_name, "texture_resolution": 256})
    before = await over(api, job["id"], within_seconds=PATIENCE_SECONDS)
    model = await api.fetch(await api.download_url(job["id"]))

    await in_thread(running.compose, "down", "--timeout", "50")
    await in_thread(up, running)

    assert await api.job(job["id"]) == before
    assert await api.fetch(await api.download_url(job["id"])) == model


async def test_a_collector_that_is_not_there_holds_nothing_up(running: ComposeProject, api: ApiClient) -> None:
    running.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://otel-collector:4318"
    try:
        await in_thread(up, running, *SERVICES)
        began = time.monotonic()
        jobs = await asyncio.gather(*(simulated(api) for _ in range(20)))
        await asyncio.gather(*(done(api, job) for job in jobs))
        assert time.monotonic() - began < 20
    finally:
        del running.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        await in_thread(up, running, *SERVICES)


# --- what it may ---


def test_every_container_is_confined(running: ComposeProject) -> None:
    for container in running.inspect(*running.containers(everything=True)):
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert not host["Privileged"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["LogConfig"]["Config"]["max-size"], name


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_nobody_and_cannot_write_to_its_own_files(running: ComposeProject, service: str) -> None:
    (container,) = running.containers(service)
    assert running.execute(container, "id", "-u").strip() == "10001"
    status = running.execute(container, "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (facts["CapEff"], facts["CapBnd"], facts["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
    for place in ("/opt/app/x", "/opt/venv/x", "/etc/x", "/run/secrets/x"):
        with pytest.raises(CommandFailedError, match=r"(?i)read-only|denied"):
            running.execute(container, "sh", "-c", f"echo >{place}")
    assert running.execute(container, "sh", "-c", "echo ok >/tmp/x && cat /tmp/x").strip() == "ok"


def test_a_worker_cannot_reach_the_database(running: ComposeProject) -> None:
    (worker,), (postgres,) = running.containers("gpu-worker"), running.containers("postgres")
    networks = running.inspect(postgres)[0]["NetworkSettings"]["Networks"]
    (address,) = (network["IPAddress"] for network in networks.values())
    for host in ("postgres", address):
        code = f"import socket; socket.create_connection(('{host}', 5432), 3)"
        with pytest.raises(CommandFailedError, match=r"gaierror|TimeoutError|timed out|unreachable|refused"):
            running.execute(worker, "python", "-c", code)
    # The test can fail: who may reach it does.
    (orchestrator,) = running.containers("orchestrator")
    running.execute(orchestrator, "python", "-c", "import socket; socket.create_connection(('postgres', 5432), 3)")


@pytest.mark.parametrize(
    ("service", "knows"),
    [
        ("gateway", {"database_url", "rabbitmq_url", "artifacts_token"}),
        ("orchestrator", {"database_url", "rabbitmq_url"}),
        (
            "artifacts",
            {"database_url", "rabbitmq_url", "gateway_token", "worker_token", "minio_access_key", "minio_secret_key"},
        ),
        ("gpu-worker", {"rabbitmq_url", "artifacts_token"}),
    ],
)
def test_a_service_knows_its_own_secrets_only(running: ComposeProject, service: str, knows: set[str]) -> None:
    (container,) = running.containers(service)
    assert set(running.execute(container, "ls", "/run/secrets").split()) == knows


def test_no_secret_is_in_a_log_an_image_or_a_containers_description(running: ComposeProject) -> None:
    secrets = kept_secrets(running)
    assert len(secrets) > 10
    images = sorted(
        {container["Config"]["Image"] for container in running.inspect(*running.containers(everything=True))}
    )
    places = {
        "logs": running.compose("logs", "--no-color"),
        "containers": json.dumps(running.inspect(*running.containers(everything=True))),
        "images": json.dumps(running.inspect(*images)),
        "history": "".join(run("docker", "history", "--no-trunc", image) for image in images),
        "compose file": json.dumps(running.config("*")),
    }
    found = [(place, name) for place, text in places.items() for name, secret in secrets.items() if secret in text]
    assert found == []


def test_dead_letters_can_be_looked_at(running: ComposeProject) -> None:
    assert json.loads(running.compose("run", "--rm", "dead-letters", "list", "--json")) is not None


# --- steps ---


def kept_secrets(project: ComposeProject) -> dict[str, str]:
    code = "import json, pathlib; print(json.dumps({f.name: f.read_text() for f in pathlib.Path('/kept').iterdir()}))"
    volume = f"{project.name}_secrets-kept:/kept:ro"
    command = ("docker", "run", "--rm", "--network=none", "--user=0", "--volume", volume, "--entrypoint=python")
    kept: dict[str, str] = json.loads(run(*command, "pipeline3d/tools:compose-test", "-c", code))
    return kept


async def is_running(api: ApiClient, job_id: str) -> bool:
    return bool((await api.job(job_id))["status"] == "RUNNING")


async def done(api: ApiClient, job_id: str) -> None:
    assert (await over(api, job_id, within_seconds=PATIENCE_SECONDS))["status"] == "SUCCEEDED"


async def accepts(api: ApiClient) -> bool:
    """Whether a job can be created again: while the broker is away the answer is an honest 503."""
    try:
        await done(api, await simulated(api))
    except ApiProblemError as problem:
        if problem.status != 503:
            raise
        return False
    return True


async def ask_until_told(api: ApiClient) -> int:
    """How many questions were answered; the first that is not raises."""
    answered = 0
    try:
        while True:
            await asyncio.gather(*(api.jobs(limit=1) for _ in range(4)))
            answered += 4
    except asyncio.CancelledError:
        return answered

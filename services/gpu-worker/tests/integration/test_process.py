"""The worker as an operating system sees it: a process that is started, asked for its health, and told to end."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from worker_harness import TOKEN, AttemptFailed, AttemptStarted, AttemptSucceeded, task, until

from contracts.failures import FailureCode


def environment(**changes):
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | changes


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
async def process(broker_url, storage, tmp_path, free_port, orchestrator):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gpu_worker"),
        env=environment(
            RABBITMQ_URL=broker_url,
            ARTIFACTS_URL=storage.url,
            ARTIFACTS_TOKEN=TOKEN,
            WORKER_MODELS="simulated-v1:1",
            WORK_DIR=str(tmp_path / "work"),
            PORT=str(free_port),
            SHUTDOWN_GRACE_SECONDS="0",
        ),
        stdout=asyncio.subprocess.DEVNULL,
    )
    yield process
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def children(pid):
    return [int(child) for child in proc(pid, f"task/{pid}/children").split()]


def proc(pid, file):
    return Path(f"/proc/{pid}/{file}").read_text()


async def test_no_secret_reaches_the_engine_and_no_child_outlives_the_worker(orchestrator, process, free_port):
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    [engine] = await until(lambda: children(process.pid))
    assert TOKEN in proc(process.pid, "environ")
    await until(lambda: "engine_child" in proc(engine, "cmdline"))
    engine_environment = proc(engine, "environ")
    assert TOKEN not in engine_environment
    assert "RABBITMQ_URL" not in engine_environment
    async with aiohttp.ClientSession(f"http://127.0.0.1:{free_port}") as http:
        for path in ("/health/live", "/health/ready"):
            assert (await http.get(path)).status == 200
        metrics = await (await http.get("/metrics")).text()
        assert 'p3d_worker_slots_busy{model="simulated-v1"} 1.0' in metrics
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() in (0, -signal.SIGTERM)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_SHUTDOWN
    await until(lambda: not Path(f"/proc/{engine}").exists())


async def test_a_killed_worker_takes_its_engine_along_and_the_next_one_tidies_up(
    orchestrator, process, start_worker, tmp_path
):
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt)
    [engine] = await until(lambda: children(process.pid))
    [left_behind] = await until(lambda: list((tmp_path / "work").glob("*/1")))
    process.kill()
    await process.wait()
    await until(lambda: not Path(f"/proc/{engine}").exists())
    assert left_behind.exists()
    await start_worker(work_dir=tmp_path / "work")
    assert not left_behind.exists()
    next_one = task()
    await orchestrator.send(next_one)
    assert isinstance(await orchestrator.outcome(next_one), AttemptSucceeded)


async def test_an_unusable_setting_is_named_in_a_sentence():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gpu_worker"),
        env=environment(
            RABBITMQ_URL="amqp://127.0.0.1/",
            ARTIFACTS_URL="http://127.0.0.1:1",
            ARTIFACTS_TOKEN=TOKEN,
            WORKER_MODELS="sf3d-v9:1",
        ),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert "WORKER_MODELS" in errors.decode()
    assert "there is no engine 'sf3d-v9'; known engines are silhouette-v1, simulated-v1" in errors.decode()

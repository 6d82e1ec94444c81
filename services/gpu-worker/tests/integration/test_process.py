"""The worker as an operating system sees it: a process that is started, asked for its health, and told to end."""

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from worker_harness import TOKEN, AttemptFailed, AttemptStarted, AttemptSucceeded, task, until

from contracts.failures import FailureCode

STARTING = 60
"""A process that starts on a machine with much else to do takes its time."""


def environment(**changes):
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | changes


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
async def start_process(broker_url, storage, tmp_path, free_port, orchestrator):
    """Starts workers as processes; those that still run when the test is over are killed."""
    started = []

    async def start(**changes):
        settings = {
            "RABBITMQ_URL": broker_url,
            "ARTIFACTS_URL": storage.url,
            "ARTIFACTS_TOKEN": TOKEN,
            "WORKER_MODELS": "simulated-v1:1",
            "WORK_DIR": str(tmp_path / "work"),
            "PORT": str(free_port),
            "SHUTDOWN_GRACE_SECONDS": "0",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gpu_worker"),
            env=environment(**(settings | changes)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()


@pytest.fixture
async def process(start_process):
    return await start_process()


def engines(pid):
    children = [int(child) for child in proc(pid, f"task/{pid}/children").split()]
    return [child for child in children if "engine_child" in proc(child, "cmdline")]


def is_over(pid):
    """Dead, or only not yet buried."""
    try:
        return " Z " in proc(pid, "stat")
    except FileNotFoundError:
        return True


def proc(pid, file):
    return Path(f"/proc/{pid}/{file}").read_text()


async def test_no_secret_reaches_the_engine_and_no_child_outlives_the_worker(orchestrator, process, free_port):
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt, seconds=STARTING)
    [engine] = await until(lambda: engines(process.pid))
    assert TOKEN in proc(process.pid, "environ")
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
        assert await process.wait() == 0
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_SHUTDOWN
    await until(lambda: not Path(f"/proc/{engine}").exists())


async def test_a_killed_worker_takes_its_engine_along_and_the_next_one_tidies_up(
    orchestrator, process, start_worker, tmp_path
):
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt, seconds=STARTING)
    [engine] = await until(lambda: engines(process.pid))
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


async def test_a_worker_that_was_stopped_for_longer_than_its_lease_wakes_up_without_its_attempt(
    orchestrator, start_process
):
    process = await start_process(HEARTBEAT_INTERVAL_SECONDS="0.2", LEASE_TTL_SECONDS="1")
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt, seconds=STARTING)
    [engine] = await until(lambda: engines(process.pid))
    await until(lambda: any(attempt.attempt_id in heartbeat.attempts for heartbeat in orchestrator.heartbeats))
    process.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    await until(lambda: is_over(engine))  # by its guard: the worker can do nothing
    assert time.monotonic() - stopped_at < 1 + 0.2 + 1.5
    await asyncio.sleep(max(0.0, stopped_at + 1.3 - time.monotonic()))
    orchestrator.heartbeats.clear()
    process.send_signal(signal.SIGCONT)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_LOST
    await until(lambda: len(orchestrator.heartbeats) > 3)
    assert all(attempt.attempt_id not in heartbeat.attempts for heartbeat in orchestrator.heartbeats)
    next_one = task()
    await orchestrator.send(next_one)
    assert isinstance(await orchestrator.outcome(next_one), AttemptSucceeded)


async def test_an_attempt_handed_back_runs_elsewhere_without_waiting_for_its_lease(
    orchestrator, start_process, start_worker
):
    process = await start_process()
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt, seconds=STARTING)
    other = await start_worker()
    asked_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    handed_back = await orchestrator.outcome(attempt)
    assert isinstance(handed_back, AttemptFailed)
    assert handed_back.code == FailureCode.WORKER_SHUTDOWN
    again = task(duration_seconds=60)
    await orchestrator.send(again)
    assert (await orchestrator.hears(AttemptStarted, again)).worker_id == other.worker_id
    assert time.monotonic() - asked_at < 3  # a lease is 15 s


@pytest.mark.parametrize("how", ["cut", "frozen"])
async def test_a_worker_without_a_broker_still_ends_when_it_is_told_to(orchestrator, start_process, gate, how):
    process = await start_process(RABBITMQ_URL=gate.url, SHUTDOWN_GRACE_SECONDS="1")
    attempt = task(duration_seconds=60)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptStarted, attempt, seconds=STARTING)
    if how == "cut":
        gate.cut()
    else:
        gate.freeze()
    asked_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        await process.wait()
    assert time.monotonic() - asked_at < 1 + 10  # measured on an idle machine: 5 s cut, 8 s frozen


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

"""The process that outlives a worker just long enough to end what the worker cannot."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from gpu_worker.engine_guard import EngineGuard

WORKER = """
import asyncio, os, pathlib, sys
from gpu_worker.engine_guard import EngineGuard
from gpu_worker.engine_process import EngineProcess
from gpu_worker.engines.base import GenerationRequest

async def main():
    folder = pathlib.Path(sys.argv[1])
    guard = EngineGuard(interval_seconds=0.1, lease_ttl_seconds=float(sys.argv[2]))
    await guard.start()
    engine = EngineProcess("engine_specimens:" + sys.argv[3], environment=os.environ, guard=guard)
    await engine.start()
    def say(stage, fraction):
        print(engine.pid, flush=True)
    try:
        await engine.generate(GenerationRequest({}, "driver call", None, folder), say)
    except Exception as failure:
        print(failure.code.value, flush=True)
    await guard.close()

asyncio.run(main())
"""


def sleeper():
    """A process in a group of its own."""
    return subprocess.Popen(["sleep", "60"], start_new_session=True)


@pytest.fixture
async def start_worker(specimens, tmp_path):
    """Starts a worker whose engine is busy, and gives the worker and the engine's id."""
    started = []

    async def start(specimen, lease_ttl_seconds):
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WORKER, str(tmp_path), str(lease_ttl_seconds), specimen),
            env={"PYTHONPATH": str(specimens), "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(worker)
        engine = int(await worker.stdout.readline())
        return worker, engine

    yield start
    for worker in started:
        if worker.returncode is None:
            worker.send_signal(signal.SIGCONT)
            worker.kill()
            await worker.wait()


async def test_what_an_engine_started_dies_with_a_killed_worker(start_worker, tmp_path, until, is_gone):
    worker, engine = await start_worker("Parent", 60)
    grandchild = int((tmp_path / "pid").read_text())
    worker.kill()
    await until(lambda: is_gone(engine) and is_gone(grandchild))


async def test_a_stopped_worker_loses_its_engine_when_its_lease_has_lapsed(start_worker, until, is_gone):
    worker, engine = await start_worker("Deaf", 0.5)
    worker.send_signal(signal.SIGSTOP)
    await until(lambda: is_gone(engine))
    worker.send_signal(signal.SIGCONT)
    assert await worker.stdout.readline() == b"engine_crashed\n"
    assert await worker.wait() == 0


async def test_a_guard_leaves_the_engines_of_a_living_worker_alone_and_ends_with_it(is_gone, until):
    guard = EngineGuard(interval_seconds=0.05, lease_ttl_seconds=0.3)
    await guard.start()
    engines = [sleeper() for _ in range(2)]
    try:
        for engine in engines:
            guard.watch(engine.pid)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):  # three times what it tolerates
                await until(lambda: is_gone(engines[0].pid))
        guard.forget(engines[0].pid)
        await guard.close()
        await until(lambda: is_gone(engines[1].pid))
        assert not is_gone(engines[0].pid)
    finally:
        for engine in engines:
            engine.kill()
            engine.wait()


async def test_a_guard_that_was_killed_is_replaced_and_knows_what_to_watch(is_gone, until):
    guard = EngineGuard(interval_seconds=0.05, lease_ttl_seconds=5)
    await guard.start()
    killed = guard.pid
    engine = sleeper()
    try:
        guard.watch(engine.pid)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: guard.pid != killed)
        await guard.close()
        await until(lambda: is_gone(engine.pid))
    finally:
        engine.kill()
        engine.wait()

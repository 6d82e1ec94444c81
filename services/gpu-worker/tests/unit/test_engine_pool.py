import asyncio
import os
import signal

import pytest
from prometheus_client import REGISTRY

from contracts.failures import FailureCode
from gpu_worker.engine_pool import EnginePool
from gpu_worker.engines.base import EngineFailure


def ignore(_stage, _fraction):
    pass


@pytest.fixture
async def pool(new_engine):
    pool = EnginePool(lambda: new_engine("simulated-v1"), size=2)
    yield pool
    await pool.close()


async def test_the_engine_used_last_is_used_next(pool):
    async with pool.acquire() as first, pool.acquire() as second:
        assert first.pid != second.pid
    async with pool.acquire() as again:
        assert again is first  # given back last


async def test_engines_are_started_only_when_needed(pool):
    seen = set()
    for _ in range(3):
        async with pool.acquire() as engine:
            seen.add(engine.pid)
    assert len(seen) == 1


async def test_no_more_engines_than_places(pool):
    async with pool.acquire(), pool.acquire():
        third = asyncio.create_task(pool.acquire().__aenter__())
        done, _ = await asyncio.wait([third], timeout=0.1)
        assert not done
        third.cancel()


async def test_an_engine_that_crashed_is_replaced(pool, new_request):
    with pytest.raises(EngineFailure):
        async with pool.acquire() as crashed:
            await crashed.generate(new_request(outcome="crash", duration_seconds=0), ignore)
    async with pool.acquire() as engine:
        assert engine is not crashed
        assert (await engine.generate(new_request(duration_seconds=0), ignore)).outputs


async def test_an_engine_that_died_while_idle_is_replaced(pool, new_request, until):
    async with pool.acquire() as idle:
        pass
    os.kill(idle.pid, signal.SIGKILL)
    await until(lambda: not idle.alive)
    async with pool.acquire() as engine:
        assert engine is not idle
        assert (await engine.generate(new_request(duration_seconds=0), ignore)).outputs


def starts(reason):
    labels = {"model": "simulated-v1", "reason": reason}
    return REGISTRY.get_sample_value("p3d_worker_engine_starts_total", labels) or 0


async def test_starts_are_counted_by_whether_they_replace_an_engine_that_ended(pool, new_request):
    before = starts("first"), starts("replacement")
    async with pool.acquire(), pool.acquire() as second:
        os.kill(second.pid, signal.SIGKILL)
        with pytest.raises(EngineFailure):
            await second.generate(new_request(duration_seconds=60), ignore)
    async with pool.acquire(), pool.acquire():
        pass
    async with pool.acquire(), pool.acquire():
        pass  # both are warm
    assert (starts("first"), starts("replacement")) == (before[0] + 2, before[1] + 1)


async def test_an_engine_that_cannot_start_gives_its_place_back(new_engine):
    pool = EnginePool(lambda: new_engine("engine_specimens:BrokenSetup"), size=1)
    for _ in range(2):
        with pytest.raises(EngineFailure) as caught:
            async with pool.acquire():
                pass
        assert caught.value.code is FailureCode.ENGINE_UNAVAILABLE


async def test_giving_up_while_an_engine_starts_leaves_no_process(new_engine):
    started = []

    def new():
        started.append(new_engine("engine_specimens:NeverReady"))
        return started[-1]

    pool = EnginePool(new, size=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), pool.acquire():
            pass
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)


async def test_close_ends_busy_engines_too(pool, new_request):
    started = asyncio.Event()

    async def attempt():
        async with pool.acquire() as engine:
            await engine.generate(new_request(duration_seconds=60, steps=6_000), lambda *_: started.set())

    running = asyncio.create_task(attempt())
    await started.wait()
    await pool.close()
    with pytest.raises(EngineFailure) as caught:
        await running
    assert caught.value.code is FailureCode.WORKER_SHUTDOWN
    with pytest.raises(EngineFailure) as caught:
        async with pool.acquire():
            pass
    assert caught.value.code is FailureCode.WORKER_SHUTDOWN

"""Engines that are stuck in every way they can be, with the graces that are used in production."""

import asyncio
import time

import pytest

from contracts.failures import FailureCode
from gpu_worker.settings import GpuWorkerSettings

CANCEL_GRACE = GpuWorkerSettings.model_fields["cancel_grace_seconds"].default
WITHIN = 2.0


@pytest.mark.parametrize("stuck", ["driver call", "busy loop", "swallows"])
async def test_a_stuck_engine_is_cancelled_within_two_seconds(start_engine, new_request, failure_of, stuck):
    engine = await start_engine("engine_specimens:Deaf")
    started = asyncio.Event()
    attempt = asyncio.create_task(engine.generate(new_request(stuck), lambda *_: started.set()))
    await started.wait()
    began = time.monotonic()
    await engine.cancel(CANCEL_GRACE)
    assert (await failure_of(attempt)).code is FailureCode.CANCELLED
    assert time.monotonic() - began < WITHIN
    assert not engine.alive


async def test_an_engine_stuck_in_setup_is_ended_when_its_time_is_up(new_engine, failure_of):
    engine = new_engine("engine_specimens:DeafInSetup", setup_timeout_seconds=1.0)
    began = time.monotonic()
    failure = await failure_of(engine.start())
    assert time.monotonic() - began < WITHIN
    assert failure.code is FailureCode.ENGINE_UNAVAILABLE
    assert "not ready within 1 s" in failure.message


async def test_an_engine_stuck_in_setup_dies_with_the_attempt_that_waits_for_it(new_engine, until, is_gone):
    engine = new_engine("engine_specimens:DeafInSetup")
    starting = asyncio.create_task(engine.start())
    await until(lambda: "loading" in engine.log_tail)
    starting.cancel()
    await asyncio.wait([starting])
    assert not engine.alive
    await until(lambda: is_gone(engine.pid))

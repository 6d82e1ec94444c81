import asyncio
from collections.abc import Callable

import pytest

from service_kit.errors import OperationalError
from service_kit.loops import Loop


class Step:
    """Counts its runs; lets a test wait for the next one."""

    def __init__(self, *errors: Exception) -> None:
        self.runs = 0
        self._errors = list(errors)
        self._ran = asyncio.Condition()

    async def __call__(self) -> None:
        async with self._ran:
            self.runs += 1
            self._ran.notify_all()
        if self._errors:
            raise self._errors.pop(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self._ran:
            await self._ran.wait_for(condition)


async def test_a_loop_runs_its_step_again_and_again() -> None:
    step = Step()
    loop = Loop("test", step, interval_seconds=0.001)
    loop.start()
    await step.until(lambda: step.runs >= 3)
    await loop.stop()


async def test_a_loop_survives_whatever_its_step_raises() -> None:
    step = Step(ValueError("a bug"), OperationalError("an outage"))
    loop = Loop("test", step, interval_seconds=0.001)
    loop.start()
    await step.until(lambda: step.runs >= 4)
    await loop.stop()


async def test_waking_a_loop_runs_the_next_step_at_once() -> None:
    step = Step()
    loop = Loop("test", step, interval_seconds=3600)
    loop.start()
    await step.until(lambda: step.runs == 1)
    loop.wake()
    await step.until(lambda: step.runs == 2)
    await loop.stop()


async def test_a_wake_during_a_step_is_not_lost() -> None:
    step = Step()

    async def woken_meanwhile() -> None:
        await step()
        if step.runs == 1:
            loop.wake()

    loop = Loop("test", woken_meanwhile, interval_seconds=3600)
    loop.start()
    await step.until(lambda: step.runs == 2)
    await loop.stop()
    assert step.runs == 2


async def test_stopping_cuts_a_step_that_hangs() -> None:
    entered = asyncio.Event()

    async def hangs() -> None:
        entered.set()
        await asyncio.Event().wait()

    loop = Loop("test", hangs, interval_seconds=1)
    loop.start()
    await entered.wait()
    async with asyncio.timeout(1):
        await loop.stop()


async def test_a_stopped_loop_runs_no_further_step() -> None:
    step = Step()
    loop = Loop("test", step, interval_seconds=0.001)
    loop.start()
    await step.until(lambda: step.runs >= 1)
    await loop.stop()
    runs = step.runs
    await asyncio.sleep(0.01)
    assert step.runs == runs


async def test_a_loop_that_was_never_started_can_be_stopped() -> None:
    await Loop("test", Step(), interval_seconds=1).stop()


async def test_a_loop_outlasts_an_outage_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service_kit.loops._LONGEST_BACKOFF_SECONDS", 0.0)
    step = Step(*(OperationalError("an outage") for _ in range(1100)))  # 2 to that power is no float any more
    loop = Loop("test", step, interval_seconds=1e-9)
    loop.start()
    await step.until(lambda: step.runs > 1101)
    await loop.stop()


async def test_a_loop_may_rest_before_its_first_step() -> None:
    step = Step()
    loop = Loop("test", step, interval_seconds=3600, rest_first=True)
    loop.start()
    await asyncio.sleep(0)
    assert step.runs == 0
    loop.wake()
    await step.until(lambda: step.runs == 1)
    await loop.stop()

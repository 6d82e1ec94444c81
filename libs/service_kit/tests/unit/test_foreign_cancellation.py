"""aiormq cancels what waits on a connection it finds stuck, as after a long freeze. Nobody of ours may take that for his own."""

import asyncio

import pytest

from service_kit.batcher import Batcher
from service_kit.errors import ForeignCancellationError, only_our_cancellation
from service_kit.loops import Loop


async def stuck(_: object = None) -> list[None]:
    """Waits for something that somebody else cancels."""
    confirm = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(confirm.cancel)
    await confirm
    return [None]


async def test_a_loop_goes_on_after_it() -> None:
    steps = 0
    enough = asyncio.Event()

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            enough.set()
        await stuck()

    loop = Loop("test", step, interval_seconds=0.01)
    loop.start()
    async with asyncio.timeout(10):
        await enough.wait()
    await loop.stop()


async def test_a_batch_fails_with_it_and_the_next_one_is_tried() -> None:
    batcher: Batcher[int, None] = Batcher(stuck, max_batch=10)
    for item in range(2):
        with pytest.raises(ForeignCancellationError):
            await asyncio.wait_for(batcher.submit(item), 10)
    await batcher.close()


async def test_what_is_really_cancelled_is_cancelled() -> None:
    async def wait() -> None:
        with only_our_cancellation():
            await asyncio.get_running_loop().create_future()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_time_that_is_over_is_still_that() -> None:
    async def wait() -> None:
        async with asyncio.timeout(0.01):
            with only_our_cancellation():
                await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        await wait()

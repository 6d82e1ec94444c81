import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from service_kit.batcher import Batcher, ShuttingDownError
from service_kit.errors import OperationalError
from service_kit.tracing import traceparent


class Process:
    """What a batcher calls: notes each batch, and lets a test hold one back."""

    def __init__(self, poison: int | None = None, error: Exception | None = None) -> None:
        self.batches: list[list[int]] = []
        self.done: list[int] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self._poison = poison
        self._error = error

    async def __call__(self, batch: list[int]) -> Sequence[int]:
        self.batches.append(batch)
        await self.may_go.wait()
        if self._error is not None and (self._poison is None or self._poison in batch):
            raise self._error
        self.done += batch
        return [item * 10 for item in batch]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # lets the other tasks run; nothing to be signalled by
            await asyncio.sleep(0)


async def gathered(*work: Awaitable[object]) -> list[object]:
    return await asyncio.gather(*work, return_exceptions=True)


async def test_an_idle_batcher_processes_an_item_at_once_and_alone() -> None:
    process = Process()
    batcher = Batcher(process, max_batch=100)
    assert await batcher.submit(1) == 10
    assert await batcher.submit(2) == 20
    assert process.batches == [[1], [2]]


async def test_what_arrives_while_a_batch_is_under_way_makes_up_the_next_one() -> None:
    process = Process()
    process.may_go.clear()
    batcher = Batcher(process, max_batch=100)
    first = asyncio.create_task(batcher.submit(1))
    await until(lambda: process.batches == [[1]])
    others = [asyncio.create_task(batcher.submit(item)) for item in (2, 3, 4)]
    await until(lambda: len(asyncio.all_tasks()) > 3)
    process.may_go.set()
    assert await gathered(first, *others) == [10, 20, 30, 40]
    assert process.batches == [[1], [2, 3, 4]]


async def test_a_batch_is_never_larger_than_allowed_and_the_order_is_kept() -> None:
    process = Process()
    batcher = Batcher(process, max_batch=3)
    assert await batcher.submit_all(range(8)) == [item * 10 for item in range(8)]
    assert max(map(len, process.batches)) <= 3
    assert process.done == list(range(8))


async def test_one_item_that_cannot_be_processed_does_not_fail_its_neighbours() -> None:
    process = Process(poison=3, error=ValueError("a bug"))
    batcher = Batcher(process, max_batch=100)
    results = await gathered(*(batcher.submit(item) for item in range(8)))
    assert [result for result in results if not isinstance(result, ValueError)] == [0, 10, 20, 40, 50, 60, 70]
    assert isinstance(results[3], ValueError)
    assert sorted(process.done) == [0, 1, 2, 4, 5, 6, 7]


async def test_after_a_bug_the_neighbours_are_still_processed_in_order() -> None:
    process = Process(poison=5, error=ValueError("a bug"))
    batcher = Batcher(process, max_batch=100)
    await gathered(*(batcher.submit(item) for item in range(8)))
    assert process.done == [0, 1, 2, 3, 4, 6, 7]


async def test_an_operational_error_goes_to_every_item_and_is_not_tried_again() -> None:
    process = Process(error=OperationalError("the database is away"))
    batcher = Batcher(process, max_batch=100)
    results = await gathered(*(batcher.submit(item) for item in range(4)))
    assert all(isinstance(result, OperationalError) for result in results)
    assert sum(map(len, process.batches)) == 4


async def test_a_batch_that_failed_does_not_stop_the_next() -> None:
    process = Process(poison=1, error=OperationalError())
    batcher = Batcher(process, max_batch=1)
    results = await gathered(batcher.submit(1), batcher.submit(2))
    assert isinstance(results[0], OperationalError)
    assert results[1] == 20


async def test_many_items_of_one_caller_raise_the_first_error_after_all_are_done() -> None:
    process = Process(poison=1, error=ValueError("a bug"))
    batcher = Batcher(process, max_batch=100)
    with pytest.raises(ValueError, match="a bug"):
        await batcher.submit_all([0, 1, 2])
    assert sorted(process.done) == [0, 2]


async def test_no_items_are_no_batch() -> None:
    process = Process()
    assert await Batcher(process, max_batch=10).submit_all([]) == []
    assert process.batches == []


async def test_the_item_of_a_caller_that_gave_up_still_counts() -> None:
    process = Process()
    process.may_go.clear()
    batcher = Batcher(process, max_batch=100)
    first = asyncio.create_task(batcher.submit(1))
    await until(lambda: process.batches == [[1]])
    second = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await gathered(first, second)
    process.may_go.set()
    assert await batcher.submit(3) == 30
    assert process.done == [1, 2, 3]


async def test_a_caller_that_gave_up_does_not_take_its_batch_with_it() -> None:
    process = Process()
    process.may_go.clear()
    batcher = Batcher(process, max_batch=100)
    impatient, patient = (asyncio.create_task(batcher.submit(item)) for item in (1, 2))
    await until(lambda: process.batches == [[1, 2]])
    impatient.cancel()
    process.may_go.set()
    assert await patient == 20


async def test_a_closing_batcher_finishes_what_it_took_and_takes_no_more() -> None:
    process = Process()
    process.may_go.clear()
    batcher = Batcher(process, max_batch=1)
    taken = [asyncio.create_task(batcher.submit(item)) for item in (1, 2)]
    await until(lambda: process.batches == [[1]])
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDownError):
        await batcher.submit(3)
    process.may_go.set()
    await closing
    assert await gathered(*taken) == [10, 20]


async def test_closing_an_idle_batcher_returns_at_once() -> None:
    await Batcher(Process(), max_batch=1).close()


async def test_a_batch_has_neither_the_ids_nor_the_trace_of_whoever_came_first() -> None:
    seen: list[object] = []

    async def process(batch: list[int]) -> list[None]:
        seen.append((get_contextvars(), traceparent.get()))
        return [None] * len(batch)

    batcher = Batcher(process, max_batch=100)
    traceparent.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    with bound_contextvars(request_id="of the first"):
        await batcher.submit(1)
    assert seen == [({}, None)]

"""What happens a thousand times is told a few times, and counted."""

import logging
from typing import Any

import pytest

from service_kit.logging.budget import Budget, LimitRepeats


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def record(
    message: Any, *, level: int = logging.WARNING, logger: str = "aio_pika", args: Any = ()
) -> logging.LogRecord:
    return logging.LogRecord(logger, level, __file__, 1, message, args, None)


def test_a_budget_is_spent_at_once_and_grows_again(clock: Clock) -> None:
    budget = Budget(3, 1, clock)
    assert [budget.take() for _ in range(5)] == [{}, {}, {}, None, None]
    clock.now += 1
    assert budget.take() == {"left_out": 2}
    assert budget.take() is None
    clock.now += 3600
    assert [budget.take() for _ in range(4)] == [{"left_out": 1}, {}, {}, None]


def test_a_minute_of_the_same_warning_is_some_twenty_lines_and_none_is_uncounted(clock: Clock) -> None:
    limit = LimitRepeats(clock)
    told = left_out = 0
    for _ in range(60_000):
        clock.now += 0.001
        line = record({"event": "bus.message.delayed", "queue": "gateway.projection"})
        if limit.filter(line):
            told += 1
            left_out += getattr(line, "left_out", 0)
    assert 20 <= told <= 25
    assert 60_000 - told - left_out <= 5000  # of the last five seconds: the next line will say it


def test_what_happens_elsewhere_is_another_thing(clock: Clock) -> None:
    limit = LimitRepeats(clock)
    for _ in range(100):
        limit.filter(record({"event": "loop.step.failed", "loop": "one"}))
    assert limit.filter(record({"event": "loop.step.failed", "loop": "other"}))
    assert limit.filter(record({"event": "loop.step.crashed", "loop": "one"}))


def test_another_error_of_the_same_event_is_another_thing(clock: Clock) -> None:
    limit = LimitRepeats(clock)
    for _ in range(100):
        limit.filter(record({"event": "http.request.crashed", "exc_info": ValueError()}))
    assert not limit.filter(record({"event": "http.request.crashed", "exc_info": ValueError()}))
    assert limit.filter(record({"event": "http.request.crashed", "exc_info": KeyError()}))


def test_a_librarys_line_is_known_by_its_template_whatever_is_put_in(clock: Clock) -> None:
    limit = LimitRepeats(clock)
    passed = [limit.filter(record("lost %s", args=(number,))) for number in range(100)]
    assert sum(passed) == 10


def test_what_is_below_a_warning_is_not_limited(clock: Clock) -> None:
    limit = LimitRepeats(clock)
    assert all(limit.filter(record({"event": "x.y.z"}, level=logging.INFO)) for _ in range(1000))


def test_memory_is_bounded_even_if_every_line_has_a_template_of_its_own(clock: Clock) -> None:
    limit = LimitRepeats(clock)
    for number in range(10_000):
        limit.filter(record(f"template {number}"))
    assert len(limit._budgets) <= 1000

import pytest
from prometheus_client import REGISTRY

from orchestrator.freshness import Freshness


class Gauges:
    def __init__(self) -> None:
        self.now = 100.0
        self.removed = 0
        self.freshness = Freshness("test", self._remove, stale_after_seconds=15, clock=lambda: self.now)

    def _remove(self) -> None:
        self.removed += 1

    def census(self, *, fails: bool = False) -> None:
        with self.freshness.renewed():
            if fails:
                raise ConnectionError

    @property
    def age(self) -> float | None:
        return REGISTRY.get_sample_value("p3d_census_age_seconds", {"of": "test"})


def test_nothing_is_shown_before_the_first_census() -> None:
    gauges = Gauges()
    assert gauges.removed == 1
    gauges.now += 7
    assert gauges.age == 7


def test_a_census_that_fails_now_and_then_leaves_no_gap() -> None:
    gauges = Gauges()
    gauges.census()
    for _ in range(3):
        gauges.now += 5
        with pytest.raises(ConnectionError):
            gauges.census(fails=True)
    assert (gauges.removed, gauges.age) == (1, 15)
    gauges.census()
    assert gauges.age == 0


def test_what_could_not_be_renewed_for_long_is_removed() -> None:
    gauges = Gauges()
    gauges.census()
    gauges.now += 16
    with pytest.raises(ConnectionError):
        gauges.census(fails=True)
    assert (gauges.removed, gauges.age) == (2, 16)

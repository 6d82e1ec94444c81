"""0 when idle, growing while nothing can be applied, 0 again when it could."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.ids import JobId, ModelId, UserId
from contracts.jobs import JobCancelled, JobState
from contracts.states import JobStatus
from gateway.projection_lag import ProjectionLag

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def event(seconds_before_noon: float) -> JobCancelled:
    return JobCancelled(
        job_id=JobId(UUID(int=1)),
        seq=2,
        user_id=UserId(UUID(int=2)),
        model_id=ModelId("simulated-v1"),
        occurred_at=NOON - timedelta(seconds=seconds_before_noon),
        state=JobState(status=JobStatus.CANCELLED, attempt=0),
    )


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag(clock: Clock) -> ProjectionLag:
    return ProjectionLag(clock)


def test_it_is_the_age_of_the_oldest_event_under_way_and_nothing_when_idle(lag: ProjectionLag, clock: Clock) -> None:
    assert lag.seconds() == 0
    with lag.holding([event(1), event(3)]):
        with lag.holding([event(2)]):
            assert lag.seconds() == 3
        clock.pass_seconds(10)
        assert lag.seconds() == 13
    assert lag.seconds() == 0


def test_it_grows_between_the_tries_while_the_database_is_away(lag: ProjectionLag, clock: Clock) -> None:
    for _ in range(5):
        with pytest.raises(ConnectionError), lag.holding([event(2)]):
            raise ConnectionError
        clock.pass_seconds(5)
    assert lag.seconds() == 27
    with lag.holding([event(2)]):
        assert lag.seconds() == 27
    assert lag.seconds() == 0


def test_a_delivery_that_went_elsewhere_is_not_ours_for_ever(lag: ProjectionLag, clock: Clock) -> None:
    with pytest.raises(ConnectionError), lag.holding([event(2)]):
        raise ConnectionError
    clock.pass_seconds(31)
    assert lag.seconds() == 0


def test_a_clock_behind_the_orchestrators_makes_no_negative_age(lag: ProjectionLag) -> None:
    with lag.holding([event(-60)]):
        assert lag.seconds() == 0


def test_events_that_are_all_forgotten_hold_nothing(lag: ProjectionLag) -> None:
    with lag.holding([]):
        assert lag.seconds() == 0

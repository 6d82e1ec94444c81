"""Cursors and queue positions."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import JobId, UserId
from gateway.cursor import Cursor
from gateway.queue_order import WaitingJob, queue_positions
from service_kit.problems import Problem

ALICE, BOB = UserId(UUID(int=1)), UserId(UUID(int=2))
CURSORS = st.builds(Cursor, st.datetimes(timezones=st.just(UTC)), st.uuids())


@given(CURSORS)
def test_cursor_comes_back_as_it_went(cursor: Cursor) -> None:
    assert Cursor.decode(cursor.encode(ALICE), ALICE) == cursor


@given(CURSORS, st.data())
def test_tampered_cursor_is_refused(cursor: Cursor, data: st.DataObject) -> None:
    text = cursor.encode(ALICE)
    place = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.sampled_from("Ab9-_").filter(lambda letter: letter != text[place]))
    for tampered in (text[:place] + other + text[place + 1 :], text[:place], text + "AAAA"):
        with pytest.raises(Problem):
            Cursor.decode(tampered, ALICE)
    with pytest.raises(Problem):
        Cursor.decode(text, BOB)


@given(st.text())
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    with pytest.raises(Problem):
        Cursor.decode(text, ALICE)


def test_cursor_keeps_every_microsecond() -> None:
    late = datetime(2026, 1, 31, tzinfo=UTC) + timedelta(microseconds=999_999)
    assert Cursor.decode(Cursor(late, UUID(int=7)).encode(ALICE), ALICE).created_at == late


def job(number: int, user: UserId, priority: int = 0) -> WaitingJob:
    return WaitingJob(JobId(UUID(int=number)), user, priority)


def test_queue_is_by_priority_then_fair_share_then_age() -> None:
    oldest_first = [job(1, ALICE), job(2, ALICE), job(3, ALICE), job(4, BOB), job(5, BOB, priority=1), job(6, BOB)]
    positions = queue_positions(oldest_first)
    assert [positions[JobId(UUID(int=number))] for number in range(1, 7)] == [2, 4, 6, 3, 1, 5]


@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB]), st.integers(-1, 1))))
def test_positions_are_1_to_n_and_a_users_own_jobs_keep_their_order(jobs: list[tuple[UserId, int]]) -> None:
    waiting = [job(number, user, priority) for number, (user, priority) in enumerate(jobs)]
    positions = queue_positions(waiting)
    assert sorted(positions.values()) == list(range(1, len(jobs) + 1))
    for user in (ALICE, BOB):
        for priority in (-1, 0, 1):
            own = [positions[item.job_id] for item in waiting if (item.user_id, item.priority) == (user, priority)]
            assert own == sorted(own)

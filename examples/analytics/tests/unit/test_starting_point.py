from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.starting_point import Edge, StartingPoint, as_text, parse_starting_point


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("first", Edge.FIRST),
        ("last", Edge.LAST),
        ("next", Edge.NEXT),
        ("offset:0", 0),
        ("offset:1200", 1200),
        ("2026-11-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T02:00:00+02:00", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_every_way_to_name_a_place_is_understood(text: str, start: StartingPoint) -> None:
    assert parse_starting_point(text) == start


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "say first"),
        ("yesterday", "say first"),
        ("FIRST", "say first"),
        ("12", "say first"),
        ("offset:", "not negative"),
        ("offset:-1", "not negative"),
        ("offset:١٢", "not negative"),
        ("offset:99999999999999999999", "not negative"),
        ("2026-11-01", "time zone"),
        ("2026-11-01T00:00:00", "time zone"),
        ("1969-12-31T00:00:00Z", "before 1970"),
    ],
)
def test_what_is_no_place_is_refused_with_a_sentence_that_says_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_starting_point(text)


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=zones)  # noqa: DTZ001  # as Hypothesis wants them


@given(st.sampled_from(Edge) | st.integers(0, 2**63 - 1) | moments)
def test_what_the_checkpoint_keeps_is_read_back_as_the_same_place(start: StartingPoint) -> None:
    assert parse_starting_point(as_text(start)) == start

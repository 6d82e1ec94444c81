"""After a pause the stream may have lost its head, or be another. The broker tells neither."""

from examples.analytics.tests.job_stories import delivery

from analytics.continuity import Continuity, Mark, Verdict, continuity, digest

MARK = Mark(offset=40, digest=digest(b"the last message"))


def test_the_very_message_the_files_end_with_continues() -> None:
    assert continuity(MARK, delivery(b"the last message", 40)) == Continuity(Verdict.CONTINUES)


def test_another_message_at_the_same_offset_is_another_stream() -> None:
    assert continuity(MARK, delivery(b"a message of another stream", 40)).verdict is Verdict.REPLACED


def test_a_stream_that_has_not_grown_so_far_is_another_stream() -> None:
    assert continuity(MARK, None).verdict is Verdict.REPLACED


def test_a_stream_whose_oldest_message_is_newer_has_lost_what_lies_between() -> None:
    assert continuity(MARK, delivery(b"x", 50)) == Continuity(Verdict.TRUNCATED, missing=9)


def test_nothing_is_missing_if_only_what_was_read_is_gone() -> None:
    assert continuity(MARK, delivery(b"x", 41)) == Continuity(Verdict.TRUNCATED, missing=0)

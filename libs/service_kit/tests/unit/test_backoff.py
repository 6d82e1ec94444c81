"""Pauses between tries grow, are spread, and end at the longest."""

from itertools import islice

from service_kit.backoff import growing_pauses


def test_pauses_double_up_to_the_longest_and_are_spread_over_their_upper_half() -> None:
    for pause, whole in zip(growing_pauses(0.5, longest_seconds=5), [0.5, 1, 2, 4, 5, 5, 5], strict=False):
        assert whole / 2 <= pause <= whole


def test_two_who_failed_together_do_not_wait_equally_long() -> None:
    one, other = (list(islice(growing_pauses(1, longest_seconds=60), 20)) for _ in range(2))
    assert one != other


def test_a_first_pause_beyond_the_longest_is_cut_too() -> None:
    assert next(growing_pauses(10, longest_seconds=1)) <= 1

import time
from uuid import RFC_4122

from service_kit.ids import new_uuid


def test_an_id_is_a_version_7_uuid_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = new_uuid()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_of_later_milliseconds_sort_after_earlier_ones() -> None:
    first = new_uuid()
    milliseconds = first.int >> 80
    while time.time_ns() // 1_000_000 <= milliseconds:
        pass
    assert new_uuid() > first


def test_ids_made_together_differ() -> None:
    assert len({new_uuid() for _ in range(10_000)}) == 10_000


def test_the_random_bits_are_all_used() -> None:
    ids = [new_uuid().int for _ in range(200)]
    version_and_variant = (0xF << 76) | (0b11 << 62)
    varying = 0
    for one in ids:
        varying |= one ^ ids[0]
    assert varying & ((1 << 80) - 1) == ((1 << 80) - 1) & ~version_and_variant

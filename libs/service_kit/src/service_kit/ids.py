"""New ids."""

import os
import time
from uuid import UUID


def new_uuid() -> UUID:
    """A version-7 UUID: random, yet ordered by time, so that rows made together lie together in an index. RFC 9562, 5.7."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10))
    high = (milliseconds << 16) | 0x7000 | (random_bits >> 68)
    low = (0b10 << 62) | (random_bits & ((1 << 62) - 1))
    return UUID(int=(high << 64) | low)

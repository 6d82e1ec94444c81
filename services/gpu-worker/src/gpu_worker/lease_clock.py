"""The clock by which a worker judges its leases."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def lease_time() -> float:
    """Seconds since some moment. It goes on while the machine sleeps, which `time.monotonic` does not, and nobody sets it, as
    they do the wall clock. See CLOCK_BOOTTIME in clock_gettime(2)."""
    return time.clock_gettime(_CLOCK)

"""What every test run of this repository begins with."""

import pytest
from hypothesis import strategies


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis' tables of Unicode, made on first use and kept in `.hypothesis`, take seconds on a busy machine.

    The first property about text would pay for them, in each of xdist's processes, and be failed for slow generation.
    """
    if not hasattr(config, "workerinput"):
        strategies.text().validate()

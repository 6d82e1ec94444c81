"""A service may be started before what it depends on."""

import pytest

from service_kit.errors import BusUnavailableError
from service_kit.startup import once_available


async def test_what_is_not_there_yet_is_waited_for() -> None:
    tries = 0

    async def open_() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError
        return "open"

    assert await once_available("broker", open_, patience_seconds=60) == "open"
    assert tries == 3


async def test_patience_ends_with_the_last_error() -> None:
    async def refuse() -> None:
        raise BusUnavailableError("nobody there")

    with pytest.raises(BusUnavailableError, match="nobody there"):
        await once_available("broker", refuse, patience_seconds=0)


async def test_a_bug_is_not_waited_for() -> None:
    async def crash() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await once_available("broker", crash, patience_seconds=3600)

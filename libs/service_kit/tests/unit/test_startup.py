"""A service may be started before what it depends on."""

import asyncio

import pytest

from service_kit.bus import Bus
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


async def test_a_broker_that_ends_in_the_middle_of_a_greeting_is_waited_for() -> None:
    """Killed just now, or not yet listening to what it has accepted: aiormq calls that `StopAsyncIteration`."""
    greetings = asyncio.Semaphore(0)

    async def end_before_answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # the protocol header
        writer.close()
        greetings.release()

    async with await asyncio.start_server(end_before_answering, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        bus = Bus(f"amqp://{host}:{port}/", service="greeter")
        starting = asyncio.create_task(once_available("broker", bus.start, patience_seconds=60))
        async with asyncio.timeout(20):
            await greetings.acquire()
            await greetings.acquire()
        assert not starting.done()
        starting.cancel()
        await bus.stop()

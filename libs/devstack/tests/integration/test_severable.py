"""A way that is cut, frozen and slow, seen from both ends."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from devstack.severable import SeverableWay


@pytest.fixture
async def way() -> AsyncIterator[SeverableWay]:
    """To a server that says back what it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with SeverableWay(f"echo://user:secret@127.0.0.1:{port}/path") as opened:
        yield opened
    server.close()


async def connect(way: SeverableWay) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = int(way.url.rpartition(":")[2].partition("/")[0])
    return await asyncio.open_connection("127.0.0.1", port)


async def said_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello")
    return await reader.readexactly(5)


async def test_the_url_differs_only_in_its_host_and_port(way: SeverableWay) -> None:
    assert way.url.startswith("echo://user:secret@127.0.0.1:")
    assert way.url.endswith("/path")
    assert way.leading_to("other://somebody@elsewhere:1/x").startswith("other://somebody@127.0.0.1:")


async def test_a_cut_ends_connections_and_refuses_new_ones_until_mended(way: SeverableWay) -> None:
    reader, writer = await connect(way)
    assert await said_back(reader, writer) == b"hello"
    url = way.url
    way.cut()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await said_back(reader, writer)
    with pytest.raises(ConnectionError):
        await connect(way)
    await way.mend()
    assert way.url == url
    assert await said_back(*await connect(way)) == b"hello"


async def test_frozen_connections_stay_open_and_carry_on_when_thawed(way: SeverableWay) -> None:
    old = await connect(way)
    await said_back(*old)
    way.freeze()
    new = await connect(way)
    answers = [asyncio.create_task(said_back(*connection)) for connection in (old, new)]
    assert (await asyncio.wait(answers, timeout=0.2))[0] == set()
    way.thaw()
    assert await asyncio.gather(*answers) == [b"hello", b"hello"]


async def test_a_connection_that_was_frozen_can_be_cut(way: SeverableWay) -> None:
    reader, writer = await connect(way)
    await said_back(reader, writer)
    way.freeze()
    answer = asyncio.create_task(said_back(reader, writer))
    await asyncio.sleep(0)
    way.cut()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await answer


async def test_a_delay_holds_everything_back_each_way(way: SeverableWay) -> None:
    connection = await connect(way)
    await said_back(*connection)
    way.delay(0.1)
    began = time.monotonic()
    assert await said_back(*connection) == b"hello"
    assert time.monotonic() - began >= 0.2

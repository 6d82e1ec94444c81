"""What a store may do to a transfer, on real sockets."""

import asyncio

import aiohttp
import pytest

from contracts.artifacts_api import OutputUpload
from gpu_worker.transfer import Transfer

LARGE = 64 * 1024 * 1024
"""More than the buffers of a connection hold."""


@pytest.fixture
async def deaf_store():
    """Takes connections, and nothing that is sent on them."""
    over = asyncio.Event()

    async def ignore(_reader, writer):
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0, limit=1)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/model.glb"
    over.set()
    server.close()


async def test_an_upload_that_does_not_move_is_given_up(deaf_store, tmp_path):
    path = tmp_path / "model.glb"
    with path.open("wb") as file:
        file.truncate(LARGE)
    moved = []
    async with aiohttp.ClientSession() as session:
        transfer = Transfer(session, max_input_bytes=1, stall_seconds=0.3)
        target = OutputUpload(name="model.glb", url=deaf_store, headers={})
        async with asyncio.timeout(10):
            with pytest.raises((TimeoutError, aiohttp.ClientError)):
                await transfer.upload(target, path, LARGE, moved.append)
    assert not moved or moved[-1] < LARGE

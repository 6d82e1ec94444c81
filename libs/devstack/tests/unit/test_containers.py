"""The way from an engine that is of no use to the embedded servers. A small server stands for the engine."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import devstack.containers
from devstack.addresses import ServerKind
from devstack.containers import why_no_container


@asynccontextmanager
async def engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, object] | None
) -> AsyncIterator[None]:
    """Answers the paths it knows, all others with 404; with no answers at all it hears and says nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readline():
            while (await reader.readline()).strip():
                pass
            if answers is None:
                continue
            path = request.split()[1].decode()
            found = next((answer for end, answer in answers.items() if path.endswith(end)), None)
            body = json.dumps(found or {"message": "no such thing"}).encode()
            status = b"404 Not Found" if found is None else b"200 OK"
            head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
            writer.write(head + body)

    socket = folder / "docker.sock"
    server = await asyncio.start_unix_server(serve, socket)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    try:
        yield
    finally:
        server.close()


async def test_without_an_engine_the_reason_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none.sock'}")
    assert await why_no_container(ServerKind.POSTGRES) == "no Docker engine answers"


async def test_an_engine_that_hangs_is_given_up_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devstack.containers, "_PROBE_TIMEOUT_SECONDS", 0.2)
    began = time.monotonic()
    async with engine(tmp_path, monkeypatch, None):
        assert await why_no_container(ServerKind.POSTGRES) == "no Docker engine answers"
    assert time.monotonic() - began < 3


async def test_an_image_that_is_neither_at_hand_nor_to_be_had_is_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with engine(tmp_path, monkeypatch, {"/version": {"ApiVersion": "1.44"}, "/_ping": "OK"}):
        reason = await why_no_container(ServerKind.POSTGRES)
    assert reason is not None
    assert "neither at hand nor to be had" in reason


async def test_an_engine_with_the_image_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = {"Id": "sha256:1", "RepoTags": ["postgres:18"]}
    async with engine(
        tmp_path, monkeypatch, {"/version": {"ApiVersion": "1.44"}, "/_ping": "OK", "/images/postgres:18/json": image}
    ):
        assert await why_no_container(ServerKind.POSTGRES) is None

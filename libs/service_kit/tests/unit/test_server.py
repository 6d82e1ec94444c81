"""How a service ends, seen from outside: a process, its answers and its exit status."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from devstack.ports import free_ports


class SlowService:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    def ask_to_stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(with_signal)

    async def exit_status(self) -> int:
        async with asyncio.timeout(15):
            return await self._process.wait()

    async def says(self, word: str) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(15):
            while word.encode() not in (line := await self._process.stdout.readline()):
                assert line, f"it ended before it said {word!r}"

    async def rest_of_output(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.read()).decode()

    async def rest_of_errors(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()


@asynccontextmanager
async def slow_service(hangs: str = "never", **settings: str) -> AsyncIterator[SlowService]:
    port = free_ports(1)[0]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "slow_service.py"),
        hangs,
        env={"PATH": os.environ["PATH"], "PORT": str(port), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield SlowService(process, f"http://127.0.0.1:{port}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def status_of(http: aiohttp.ClientSession, url: str) -> int | None:
    """None where nobody accepts the connection."""
    try:
        async with http.get(url) as response:
            return response.status
    except aiohttp.ClientError:
        return None


async def until(http: aiohttp.ClientSession, url: str, status: int | None) -> None:
    async with asyncio.timeout(15):
        while await status_of(http, url) != status:  # noqa: ASYNC110  # another process's
            await asyncio.sleep(0.02)


async def test_what_is_under_way_is_answered_and_nobody_new_is_sent_here_before_the_door_closes(
    http: aiohttp.ClientSession,
) -> None:
    async with slow_service(DRAIN_SECONDS="1") as service:
        await until(http, f"{service.url}/health/ready", 200)
        under_way = asyncio.create_task(http.get(f"{service.url}/slow/2"))
        await asyncio.sleep(0.2)
        service.ask_to_stop()
        await until(http, f"{service.url}/health/ready", 503)
        async with http.get(f"{service.url}/slow/0") as late:
            assert (late.status, late.headers["connection"]) == (200, "close")
        await until(http, f"{service.url}/health/ready", None)
        assert not under_way.done()
        assert (await under_way).status == 200
        assert await service.exit_status() == 0


async def test_being_asked_again_changes_nothing(http: aiohttp.ClientSession) -> None:
    async with slow_service(DRAIN_SECONDS="0") as service:
        await until(http, f"{service.url}/health/ready", 200)
        under_way = asyncio.create_task(http.get(f"{service.url}/slow/1"))
        await asyncio.sleep(0.2)
        for _ in range(3):
            service.ask_to_stop()
        assert (await under_way).status == 200
        await service.says("closing")
        service.ask_to_stop()
        assert await service.exit_status() == 0


async def test_a_request_longer_than_the_grace_does_not_hold_up_the_end(http: aiohttp.ClientSession) -> None:
    async with slow_service(DRAIN_SECONDS="0", SHUTDOWN_GRACE_SECONDS="0.5") as service:
        await until(http, f"{service.url}/health/ready", 200)
        cut_off = asyncio.create_task(status_of(http, f"{service.url}/slow/60"))
        await asyncio.sleep(0.2)
        service.ask_to_stop()
        assert await service.exit_status() == 0
        assert await cut_off in {None, 500}


async def test_a_service_that_is_still_starting_ends_at_once() -> None:
    async with slow_service(hangs="starting") as service:
        await service.says("starting")
        service.ask_to_stop()
        assert await service.exit_status() == 0


async def test_a_service_that_cannot_start_says_why_once_and_ends_with_a_status_of_its_own() -> None:
    async with slow_service(hangs="refused") as service:
        assert await service.exit_status() == 3
        log = await service.rest_of_output()
        assert "the broker is away" in log
        assert "never retrieved" not in log + await service.rest_of_errors()


async def test_a_service_that_hangs_while_it_closes_ends_itself_and_says_where(http: aiohttp.ClientSession) -> None:
    async with slow_service(hangs="closing", DRAIN_SECONDS="0", SHUTDOWN_GRACE_SECONDS="0") as service:
        await until(http, f"{service.url}/health/ready", 200)
        service.ask_to_stop()
        assert await service.exit_status() == 1
        assert "most recent call first" in await service.rest_of_errors()

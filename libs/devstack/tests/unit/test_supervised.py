"""A small HTTP server stands for a service: it says it is ready, or ends, as its work folder tells it."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devstack.errors import StartError
from devstack.polling import until
from devstack.ports import free_ports
from devstack.processes import Program
from devstack.state import StateDirectory
from devstack.supervised import SupervisedProcess

SERVICE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@asynccontextmanager
async def supervised(
    folder: Path, script: str = SERVICE, *, restart_on_crash: bool = True
) -> AsyncIterator[SupervisedProcess]:
    [port] = free_ports(1)
    program = Program(
        name="service-1",
        command=(sys.executable, "-c", script, str(port)),
        environment={"PATH": os.defpath},
        directory=folder,
    )
    process = SupervisedProcess(
        program,
        f"http://127.0.0.1:{port}",
        StateDirectory(folder),
        restart_on_crash=restart_on_crash,
        output=None,
    )
    try:
        await process.start()
        yield process
    finally:
        await process.stop()


async def test_a_killed_process_comes_back_by_itself_on_its_old_port(tmp_path: Path) -> None:
    async with supervised(tmp_path) as process:
        await process.wait_ready(10)
        first = process.pid
        await process.kill()

        async def another_runs() -> bool:
            return process.pid not in (None, first)

        assert await until(another_runs, timeout_seconds=10)
        await process.wait_ready(10)


async def test_a_killed_process_stays_dead_until_started_where_crashes_are_the_tests_business(tmp_path: Path) -> None:
    async with supervised(tmp_path, restart_on_crash=False) as process:
        await process.wait_ready(10)
        await process.kill()
        assert process.pid is None
        with pytest.raises(StartError):
            await process.wait_ready(10)
        await process.start()
        await process.wait_ready(10)


async def test_a_stopped_process_does_not_come_back(tmp_path: Path) -> None:
    async with supervised(tmp_path) as process:
        await process.wait_ready(10)
        await process.stop()
        assert process.pid is None


async def test_one_that_was_never_ready_is_not_started_again_and_its_last_words_are_shown(tmp_path: Path) -> None:
    async with supervised(tmp_path, "raise SystemExit('DATABASE_URL is not set')") as process:
        with pytest.raises(StartError, match="ended with status 1 before it was ready") as raised:
            await process.wait_ready(10)
        assert "DATABASE_URL is not set" in str(raised.value)
        assert process.pid is None

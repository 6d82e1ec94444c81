import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.errors import StartError
from devstack.leftovers import start_ticks
from devstack.polling import until
from devstack.processes import Program, RunningProgram
from devstack.readiness import until_ready
from devstack.state import StateDirectory

DEAF = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
WITH_CHILD = (
    "import subprocess, sys; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
)


def program(folder: Path, script: str, *, stop_timeout_seconds: float = 5) -> Program:
    return Program(
        name="program",
        command=(sys.executable, "-c", script),
        environment={"PATH": os.defpath},
        directory=folder,
        stop_timeout_seconds=stop_timeout_seconds,
    )


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


async def has_written(running: RunningProgram) -> str:
    async def something() -> bool:
        return running.log.stat().st_size > 0

    assert await until(something, timeout_seconds=10)
    return running.log.read_text()


async def test_stopping_ends_what_the_program_started_too(tmp_path: Path) -> None:
    running = await RunningProgram.start(program(tmp_path, WITH_CHILD), StateDirectory(tmp_path))
    child = int(await has_written(running))
    assert start_ticks(child) is not None
    assert await running.stop() == -signal.SIGTERM
    assert start_ticks(child) is None


async def test_a_program_that_does_not_listen_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    deaf = program(tmp_path, DEAF, stop_timeout_seconds=0.1)
    running = await RunningProgram.start(deaf, StateDirectory(tmp_path))
    await has_written(running)
    assert await running.stop() == -signal.SIGKILL


async def test_every_line_goes_to_the_log_and_to_who_listens(tmp_path: Path) -> None:
    heard: list[str] = []
    running = await RunningProgram.start(
        program(tmp_path, "print('one'); print('two')"), StateDirectory(tmp_path), heard.append
    )
    assert await running.wait() == 0
    assert heard == ["one", "two"]
    assert running.log.read_text() == "one\ntwo\n"
    await running.kill()


async def test_one_that_ends_while_it_starts_shows_the_end_of_its_log_and_the_advice(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    running = await RunningProgram.start(program(tmp_path, "raise SystemExit('no disk')"), StateDirectory(tmp_path))
    with pytest.raises(StartError) as raised:
        await until_ready(running, never, timeout_seconds=10, advice="Make room.")
    assert "ended with status 1" in str(raised.value)
    assert "no disk" in str(raised.value)
    assert str(raised.value).endswith("Make room.")
    await running.kill()


async def test_a_program_ends_with_the_process_that_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys; from devstack.processes import *; from devstack.state import StateDirectory\n"
        "async def main():\n"
        "    folder = pathlib.Path(sys.argv[1])\n"
        "    sleeper = Program('sleeper', ('sleep', '60'), {'PATH': '/usr/bin:/bin'}, folder)\n"
        "    print((await RunningProgram.start(sleeper, StateDirectory(folder))).pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=subprocess.PIPE, env=os.environ
    )
    assert owner.stdout is not None
    sleeper = int(await owner.stdout.readline())

    async def runs() -> bool:
        return name_of(sleeper) == "sleep"

    async def gone() -> bool:
        return start_ticks(sleeper) is None

    assert await until(runs, timeout_seconds=5)
    owner.kill()
    await owner.wait()
    assert await until(gone, timeout_seconds=5)

"""A process that was frozen for longer than the broker keeps its connection: a paused virtual machine, a container's freezer."""

import asyncio
import os
import signal
import sys
from pathlib import Path

_FREEZE_SECONDS = 8.0
"""aiormq takes a connection for stuck after three heartbeats and some, and cancels all who wait on it."""


async def test_it_goes_on_when_it_thaws(broker_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("speaker.py")),
        env=os.environ | {"RABBITMQ_URL": f"{broker_url}?heartbeat=1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        await _says(process.stdout, times=3)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(_FREEZE_SECONDS)  # nothing happens meanwhile: that is the fault
        process.send_signal(signal.SIGCONT)
        await _says(process.stdout, times=200)
    finally:
        process.kill()
        await process.wait()


async def _says(output: asyncio.StreamReader, *, times: int) -> None:
    heard = 0
    async with asyncio.timeout(40):
        while heard < times:
            line = await output.readline()
            assert line, "the process ended"
            heard += b"said" in line

"""`python -m devstack.keeper RUN OWNER_PID KIND...`: the process that keeps servers running for one test run.

It writes the address of each into the run's folder as soon as that server answers, and ends when it is told to (SIGTERM) or
when the process that owns the run is gone.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from devstack.addresses import ServerKind
from devstack.errors import DevstackError
from devstack.servers import servers


async def keep(run: Path, owner_pid: int, kinds: Collection[ServerKind]) -> None:
    """Runs the servers until SIGTERM or until the owner has gone."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    try:
        owner = os.pidfd_open(owner_pid)
    except ProcessLookupError:
        return
    # A pidfd becomes readable when its process ends.
    loop.add_reader(owner, over.set)
    kept = [asyncio.create_task(_keep_one(run, kind)) for kind in kinds]
    await over.wait()
    for task in kept:
        task.cancel()
    await asyncio.wait(kept)


async def _keep_one(run: Path, kind: ServerKind) -> None:
    try:
        async with servers(run / kind, {kind}, durable=False) as started:
            _publish(run / f"{kind}.json", started.of(kind).model_dump_json())
            await asyncio.Event().wait()
    except DevstackError as error:
        _publish(run / f"{kind}.failed", str(error))


def _publish(file: Path, content: str) -> None:
    """Readers find either no file or a whole one."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(content)
    unfinished.rename(file)


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]), int(sys.argv[2]), [ServerKind(name) for name in sys.argv[3:]]))

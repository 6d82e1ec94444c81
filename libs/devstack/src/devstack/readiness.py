"""Waits until a server answers, or says why it will not."""

import asyncio
import ssl

import aiohttp

from devstack.errors import StartError
from devstack.polling import Probe, until
from devstack.processes import RunningProgram


async def until_ready(program: RunningProgram, probe: Probe, *, timeout_seconds: float, advice: str = "") -> None:
    """Returns once the probe is true; raises `StartError` when the program ends first or the time is over."""
    if await until(lambda: _ended_or(program, probe), timeout_seconds=timeout_seconds):
        if program.exit_status is None:
            return
        raise StartError(program.name, f"ended with status {program.exit_status} while starting", program.log, advice)
    raise StartError(program.name, f"did not answer within {timeout_seconds:.0f} s", program.log, advice)


async def _ended_or(program: RunningProgram, probe: Probe) -> bool:
    return program.exit_status is not None or await probe()


async def speaks_amqp(host: str, port: int, *, encrypted: bool = False) -> bool:
    """Whether a broker greets us: it answers the protocol header with its first method frame, or its own header. Nothing is told
    to it, so nothing is asked of its certificate: whom to trust is the services' affair."""
    try:
        async with asyncio.timeout(2):
            tls = ssl._create_unverified_context() if encrypted else None  # noqa: S323  # see above
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            try:
                writer.write(b"AMQP\x00\x00\x09\x01")
                return await reader.read(1) in (b"\x01", b"A")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def speaks_http(url: str, *, healthy: bool = False) -> bool:
    """Whether an HTTP server answers there; with `healthy`, whether it answers 200."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return response.status == 200 or not healthy
    except (aiohttp.ClientError, TimeoutError):
        return False

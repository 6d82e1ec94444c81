"""`python -m artifacts` as its operator starts it: a process with an environment, a health page and an exit status."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
from artifacts_harness import GATEWAY_TOKEN, WORKER_TOKEN, Service

from devstack.ports import free_ports
from devstack.services import inherited_environment


class ArtifactsProcess:
    def __init__(self, log: Path, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_ports(1)[0])}"
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._environment = inherited_environment(os.environ) | {
            "PORT": str(port),
            "GATEWAY_TOKEN": GATEWAY_TOKEN,
            "WORKER_TOKEN": WORKER_TOKEN,
            "RETENTION_INTERVAL_SECONDS": "0.1",
            "STORAGE_TIMEOUT_SECONDS": "1",
            **environment,
        }

    async def __aenter__(self) -> "ArtifactsProcess":
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "artifacts", env=self._environment, stdout=log, stderr=log
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def ready(self, http: aiohttp.ClientSession) -> Service:
        """Returns once it says so."""
        assert self._process is not None
        service = Service(self.url, http)
        async with asyncio.timeout(60):
            while not await self._is_ready(service):
                assert self._process.returncode is None, self._log.read_text()
                await asyncio.sleep(0.05)
        return service

    async def exit_status(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(60):
            return await self._process.wait()

    async def _is_ready(self, service: Service) -> bool:
        try:
            return (await service.health())[0] == 200
        except aiohttp.ClientError:
            return False


StartProcess = Callable[..., ArtifactsProcess]
"""Takes settings by the names of their environment."""

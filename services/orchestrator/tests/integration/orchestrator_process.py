"""`python -m orchestrator` as its operator starts it: a process with an environment, a health page and an exit status."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

from devstack.ports import free_ports
from devstack.services import inherited_environment


class OrchestratorProcess:
    def __init__(self, database_url: str, broker_url: str, log: Path, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_ports(1)[0])}"
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._environment = inherited_environment(os.environ) | {
            "DATABASE_URL": database_url,
            "RABBITMQ_URL": broker_url,
            "PORT": str(port),
            "SWEEP_INTERVAL_SECONDS": "0.1",
            "RELAY_PATIENCE_SECONDS": "0.2",
            "REDISPATCH_AFTER_SECONDS": "0.3",
            **settings,
        }

    async def __aenter__(self) -> "OrchestratorProcess":
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "orchestrator", env=self._environment, stdout=log, stderr=log
            )
        return self

    async def ready(self) -> "OrchestratorProcess":
        """Returns once it says so."""
        assert self._process is not None
        async with asyncio.timeout(30), aiohttp.ClientSession() as http:
            while not await self._ready(http):
                assert self._process.returncode is None, self._log.read_text()
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def exit_status(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(30):
            return await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await self.exit_status()

    async def _ready(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

"""Debian's Prometheus beside a running stack, with the rules and the scrape jobs of `deploy/prometheus`, only faster."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from steps import eventually

from devstack.ports import free_ports
from devstack.processes import Program, RunningProgram
from devstack.state import StateDirectory

DEPLOYED = Path(__file__).parents[2] / "deploy" / "prometheus"
BINARY = shutil.which("prometheus")

_INTERVAL = "1s"
"""Also the time a scrape may take."""
_FOR = "3s"
"""What every alert waits for here. The conditions, with their thresholds and windows, are the deployed ones."""

Json = Any


class PrometheusServer:
    """Scrapes `targets` – the URLs of the processes of each scrape job – between `async with` and its end."""

    def __init__(self, folder: Path, targets: Mapping[str, Sequence[str]]) -> None:
        self._state = StateDirectory(folder)
        self._targets = targets
        (self._port,) = free_ports(1)

    async def __aenter__(self) -> "PrometheusServer":
        assert BINARY is not None
        self._write_configuration(self._state.path)
        address = f"127.0.0.1:{self._port}"
        command = (
            BINARY,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={address}",
        )
        self._program = await RunningProgram.start(
            Program(
                name="prometheus", command=command, environment={"PATH": "/usr/bin:/bin"}, directory=self._state.path
            ),
            self._state,
        )
        self._http = aiohttp.ClientSession(base_url=f"http://{address}")
        try:
            await self._until_started()
            await self.until_scraped()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._http.close()
        await self._program.stop()

    async def query(self, expression: str) -> list[Json]:
        """The samples, now. Raises `AssertionError` with Prometheus' own words where it cannot be evaluated."""
        result: list[Json] = (await self._ask("query", query=expression))["result"]
        return result

    async def rules(self) -> list[Json]:
        groups = (await self._ask("rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        return {sample["metric"]["alertname"] for sample in await self.query('ALERTS{alertstate="firing"}')}

    async def until_scraped(self) -> None:
        """Returns once every process has been scraped since this was called."""
        since = time.time()
        expected = sum(map(len, self._targets.values()))

        async def all_fresh() -> bool:
            fresh = await self.query(f"count(timestamp(up == 1) > {since:.3f})")
            return bool(fresh) and int(fresh[0]["value"][1]) == expected

        await eventually(all_fresh)

    async def _until_started(self) -> None:
        async def ready() -> bool:
            assert self._program.exit_status is None, self._program.log.read_text()
            try:
                async with self._http.get("/-/ready") as response:
                    return response.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(ready)

    async def _ask(self, what: str, **parameters: str) -> Json:
        async with self._http.get(f"/api/v1/{what}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def _write_configuration(self, folder: Path) -> None:
        """The deployed files, with what differs here: the addresses, and how long things take."""
        configuration = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": _INTERVAL, "evaluation_interval": _INTERVAL}
        for job in configuration["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [urlsplit(url).netloc for url in self._targets[job["job_name"]]]}]
        (folder / "rules").mkdir(parents=True)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        for file in (DEPLOYED / "rules").glob("*.yml"):
            rules = yaml.safe_load(file.read_text())
            for rule in (rule for group in rules["groups"] for rule in group["rules"] if "for" in rule):
                rule["for"] = _FOR
            (folder / "rules" / file.name).write_text(yaml.safe_dump(rules))

"""The four services as processes on this machine: what `make up`, the demo, the journeys and the benchmark run."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType

from devstack.addresses import ServerAddresses
from devstack.broker_users import prepare_broker
from devstack.databases import prepare_database
from devstack.errors import DevstackError
from devstack.ports import free_ports, is_free
from devstack.processes import Program
from devstack.services import Service, StackSettings, Tokens, service_environment
from devstack.state import StateDirectory
from devstack.supervised import SupervisedProcess

ProcessOutput = Callable[[str, str], None]
"""Called with the name of a process and a line it wrote."""

_READY_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 25.0
"""Longer than the services' own grace, so that it is they who decide what is cut off."""


class Stack:
    """Runs the services between `async with` and its end, after which no process of theirs is left.

    Entering prepares the database and the broker, starts every process and waits until each is ready; it raises `DevstackError`
    with the end of the log of the one that is not. Each process has a name, such as ``gateway-1``, and keeps its port when it is
    restarted.
    """

    def __init__(self, servers: ServerAddresses, settings: StackSettings, output: ProcessOutput | None = None) -> None:
        self.servers = servers
        self.settings = settings
        self._output = output
        self._state = StateDirectory(settings.state_directory)
        self._processes: dict[str, SupervisedProcess] = {}
        self._services: dict[str, Service] = {}
        self._claim = ExitStack()

    async def __aenter__(self) -> "Stack":
        self._claim.enter_context(self._state.claimed())
        try:
            self._lay_out()
            await asyncio.gather(
                prepare_database(self.servers.postgres_admin_url, self.settings.superuser),
                prepare_broker(self.servers.broker),
            )
            await self.start()
            await self.wait_ready()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            self._claim.close()

    @property
    def api_url(self) -> str:
        """``http://host:port`` of the first gateway."""
        return self.url("gateway-1")

    @property
    def api_key(self) -> str:
        return self.settings.superuser.api_key

    def names(self, service: Service | None = None) -> list[str]:
        """The processes of a service, or all of them, running or not."""
        return [name for name, of in self._services.items() if service in (None, of)]

    def url(self, name: str) -> str:
        return self._process(name).url

    def pid(self, name: str) -> int | None:
        """None while the process does not run."""
        return self._process(name).pid

    async def start(self, *names: str) -> None:
        """Starts those that do not run, all if none is named. Does not wait: see `wait_ready`."""
        await asyncio.gather(*(process.start() for process in self._chosen(names)))

    async def start_with(self, name: str, environment: Mapping[str, str]) -> None:
        """Starts the process, if it does not run, with these settings added to its own. Does not wait.

        They count for this one run: whoever starts it next, be it `start` or its restart after a crash, starts it without.
        """
        await self._process(name).start(environment)

    async def wait_ended(self, name: str, *, timeout_seconds: float = _READY_TIMEOUT_SECONDS) -> int:
        """Waits until the present run of the process is over, whatever ends it, and returns its exit status.

        Negative: the signal that ended it. Raises `TimeoutError`. Where the stack restarts what crashes, it soon runs again.
        """
        return await self._process(name).wait_ended(timeout_seconds)

    def pause(self, name: str) -> None:
        """Freezes the process and all it started (SIGSTOP), as a machine that hangs does, until `resume`."""
        self._process(name).pause()

    def resume(self, name: str) -> None:
        """Lets a paused process go on. Idempotent."""
        self._process(name).resume()

    async def stop(self, *names: str) -> None:
        """Stops them gracefully, all if none is named. Idempotent."""
        await asyncio.gather(*(process.stop() for process in self._chosen(names)))

    async def kill(self, name: str) -> None:
        """Ends the process with SIGKILL."""
        await self._process(name).kill()

    async def restart(self, *names: str) -> None:
        """Stops and starts them, all if none is named. Does not wait until they are ready."""
        await self.stop(*names)
        await self.start(*names)

    async def wait_ready(self, *names: str, timeout_seconds: float = _READY_TIMEOUT_SECONDS) -> None:
        """Returns when each says it is ready; raises `StartError` for one that is not within the time."""
        await asyncio.gather(*(process.wait_ready(timeout_seconds) for process in self._chosen(names)))

    def _lay_out(self) -> None:
        processes = list(self.settings.processes())
        ports = dict(zip((name for _, name in processes), self._choose_ports(len(processes)), strict=True))
        if self.settings.api_port is not None:
            ports["gateway-1"] = self.settings.api_port
        artifacts_url = f"http://127.0.0.1:{ports['artifacts-1']}"
        tokens = Tokens(gateway=self._state.secret("gateway_token"), worker=self._state.secret("worker_token"))
        for service, name in processes:
            environment = service_environment(
                service,
                name=name,
                port=ports[name],
                servers=self.servers,
                artifacts_url=artifacts_url,
                tokens=tokens,
                work_directory=self._state.directory("work", name),
                settings=self.settings,
            )
            self._services[name] = service
            self._processes[name] = self._supervised(service, name, ports[name], environment)

    def _supervised(self, service: Service, name: str, port: int, environment: dict[str, str]) -> SupervisedProcess:
        output = self._output
        return SupervisedProcess(
            Program(
                name=name,
                command=(sys.executable, "-m", service.value),
                environment=environment,
                directory=self._state.path,
                stop_timeout_seconds=_STOP_TIMEOUT_SECONDS,
            ),
            url=f"http://127.0.0.1:{port}",
            state=self._state,
            restart_on_crash=self.settings.restart_on_crash,
            output=(lambda line: output(name, line)) if output else None,
        )

    def _choose_ports(self, count: int) -> list[int]:
        port = self.settings.api_port
        if port is not None and not is_free(port):
            raise DevstackError(
                f"port {port} is taken: stop what listens there, or choose another, e.g. PORT={port + 1}"
            )
        return free_ports(count)

    def _process(self, name: str) -> SupervisedProcess:
        try:
            return self._processes[name]
        except KeyError:
            raise LookupError(f"no process {name!r}; there are {', '.join(self._processes)}") from None

    def _chosen(self, names: Iterable[str]) -> list[SupervisedProcess]:
        return [self._process(name) for name in names] or list(self._processes.values())

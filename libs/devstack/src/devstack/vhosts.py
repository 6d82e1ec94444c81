"""Makes, fills and drops RabbitMQ virtual hosts: the isolation of one test, or one stack, from the next on a shared server."""

import asyncio
import base64
import os
import secrets
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from devstack.errors import DevstackError


class ErlangVhosts(BaseModel):
    """Asks the node itself through `erl_call`: 25 ms, where `rabbitmqctl` takes a second of CPU to start."""

    model_config = ConfigDict(frozen=True)

    how: Literal["erl_call"] = "erl_call"
    node: str
    epmd_port: int
    home: Path
    """Holds `.erlang.cookie`, so that the cookie is in no command line."""
    user: str

    async def create(self, name: str) -> None:
        user, vhost, all_of_it = _binary(self.user), _binary(name), _binary(".*")
        await self._evaluate(
            f"ok = rabbit_vhost:add({vhost}, {user}), ok = rabbit_auth_backend_internal:set_permissions("
            f"{user}, {vhost}, {all_of_it}, {all_of_it}, {all_of_it}, {user})."
        )

    async def drop(self, name: str) -> None:
        await self._evaluate(f"rabbit_vhost:delete({_binary(name)}, {_binary(self.user)}).")

    async def define(self, definitions: str) -> None:
        """Imports what RabbitMQ's `load_definitions` takes: JSON."""
        encoded = base64.b64encode(definitions.encode()).decode()
        await self._evaluate(f"ok = rabbit_definitions:import_raw(base64:decode({_binary(encoded)})).")

    async def _evaluate(self, expression: str) -> None:
        # By default every caller has the same name, and the node lets no second one of that name in.
        caller = f"caller_{secrets.token_hex(6)}"
        answer = await _run(
            "erl_call", "-sname", self.node, "-h", caller, "-e",
            standard_input=f"{expression}\n",
            environment=os.environ | {"HOME": str(self.home), "ERL_EPMD_PORT": str(self.epmd_port)},
        )  # fmt: skip
        if not answer.startswith("{ok,"):
            raise DevstackError(f"the RabbitMQ node answered {answer!r} to {expression!r}")


class ContainerVhosts(BaseModel):
    """Asks `rabbitmqctl` inside the container."""

    model_config = ConfigDict(frozen=True)

    how: Literal["container"] = "container"
    container: str
    user: str

    async def create(self, name: str) -> None:
        await self._rabbitmqctl("add_vhost", name)
        await self._rabbitmqctl("set_permissions", "--vhost", name, self.user, ".*", ".*", ".*")

    async def drop(self, name: str) -> None:
        await self._rabbitmqctl("delete_vhost", name)

    async def define(self, definitions: str) -> None:
        """Imports what RabbitMQ's `load_definitions` takes: JSON."""
        # Not as an argument, which any process there could read. Nor by a pipe, whose end RabbitMQ 4's tool never sees.
        command = (
            'umask 077; file=$(mktemp) && printf %s "$DEFINITIONS" >"$file" && rabbitmqctl import_definitions "$file"; '
            'status=$?; rm -f "$file"; exit $status'
        )
        await self._run(["sh", "-c", command], "rabbitmqctl import_definitions", DEFINITIONS=definitions)

    async def _rabbitmqctl(self, *arguments: str) -> None:
        await self._run(["rabbitmqctl", *arguments], f"rabbitmqctl {' '.join(arguments)}")

    async def _run(self, command: list[str], what: str, **environment: str) -> None:
        exit_code, output = await asyncio.to_thread(self._execute, command, environment)
        if exit_code != 0:
            raise DevstackError(f"`{what}` failed: {output.decode(errors='replace').strip()}")

    def _execute(self, command: list[str], environment: dict[str, str]) -> tuple[int, bytes]:
        # Takes a third of a second to import, and every test run imports this module.
        import docker  # type: ignore[import-untyped]  # noqa: PLC0415  # docker-py ships no types; see above

        container = docker.from_env().containers.get(self.container)
        exit_code, output = container.exec_run(command, environment=environment, user="rabbitmq")
        return int(exit_code), bytes(output)


AnyVhosts = ErlangVhosts | ContainerVhosts


def _binary(text: str) -> str:
    if any(character in text for character in '"\\~'):
        raise ValueError(f"{text!r} cannot be the name of a virtual host or user here")
    return f'<<"{text}">>'


async def _run(*command: str, standard_input: str = "", environment: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(standard_input.encode())
    if process.returncode != 0:
        raise DevstackError(f"`{' '.join(command)}` failed: {output.decode(errors='replace').strip()}")
    return output.decode(errors="replace").strip()

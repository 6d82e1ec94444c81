"""RabbitMQ from the operating system's `rabbitmq-server` package, as a private node."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.addresses import RabbitAddress
from devstack.broker_users import definitions_for
from devstack.embedded import EmbeddedServer
from devstack.errors import MissingPrerequisiteError
from devstack.polling import until
from devstack.ports import is_free
from devstack.processes import Program, RunningProgram
from devstack.readiness import speaks_amqp
from devstack.state import StateDirectory
from devstack.vhosts import ErlangVhosts
from service_kit.broker_definitions import user_definition

# Not /usr/sbin/rabbitmq-server: that one changes to the package's own user and folders.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_NODE = "pipeline3d@localhost"
_USER = "pipeline3d"
_DEFINITIONS = "definitions.json"
_START_TIMEOUT_SECONDS = 90.0


@asynccontextmanager
async def embedded_rabbitmq_server(
    state: StateDirectory, *, durable: bool
) -> AsyncIterator[EmbeddedServer[RabbitAddress]]:
    """Runs a node of its own on the loopback interface until the block is left; whatever else runs here is left alone.

    Without `durable` it is stopped at once, like a power cut, rather than shut down.
    """
    _require_package()
    home = state.directory("rabbitmq")
    ports = state.ports("rabbitmq", ("amqp", "dist", "epmd"))
    environment = _environment(state, home, ports)
    address = RabbitAddress(
        url=f"amqp://{_USER}:{state.secret('rabbitmq')}@127.0.0.1:{ports['amqp']}/",
        vhosts=ErlangVhosts(node=_NODE, epmd_port=ports["epmd"], home=home, user=_USER),
    )
    _write_definitions(state, home, address)
    _write_configuration(state, home, ports["amqp"])
    # Left to itself the node would start a port mapper that outlives it. This one is ours to stop.
    mapper = await RunningProgram.start(_port_mapper(home, environment, ports["epmd"]), state)
    try:
        await until(lambda: _listens(ports["epmd"]), timeout_seconds=10)
        node = EmbeddedServer(
            address,
            _node(home, environment),
            state,
            lambda: speaks_amqp("127.0.0.1", ports["amqp"]),
            start_timeout_seconds=_START_TIMEOUT_SECONDS,
            # Every start of the node, the first as well, loads its users and the virtual host "/" from its definitions.
            forget_everything=lambda: shutil.rmtree(home / "data", ignore_errors=True),
        )
        try:
            await node.start()
            yield node
        finally:
            await (node.stop() if durable else node.kill())
    finally:
        await mapper.kill()


def _require_package() -> None:
    if not _SERVER.exists():
        raise MissingPrerequisiteError(
            "RabbitMQ is not installed: run `make setup` (or `sudo apt-get install rabbitmq-server`), "
            "or name a running one in RABBITMQ_URL"
        )


def _write_definitions(state: StateDirectory, home: Path, address: RabbitAddress) -> None:
    """The services' users and queues, and an administrator: a node that loads definitions makes no user of its own."""
    definitions = definitions_for("/", address.url)
    definitions["users"].append(user_definition(_USER, state.secret("rabbitmq"), ["administrator"]))
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    definitions["permissions"].append({"user": _USER, "vhost": "/", **everything})
    file = home / _DEFINITIONS
    file.touch(mode=0o600)
    file.write_text(json.dumps(definitions))


def _write_configuration(state: StateDirectory, home: Path, port: int) -> None:
    cookie = home / ".erlang.cookie"
    if not cookie.exists():
        cookie.write_text(state.secret("erlang_cookie"))
        cookie.chmod(0o400)
    configuration = home / "rabbitmq.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f"""\
listeners.tcp.default = 127.0.0.1:{port}
load_definitions = {home / _DEFINITIONS}
log.console = false
log.file.level = info
vm_memory_high_watermark.relative = 0.4
disk_free_limit.absolute = 200MB
# The log of quorum queues is kept in memory until it is rolled: 64 MB rather than half a gigabyte.
raft.wal_max_size_bytes = 67108864
"""
    )
    (home / "enabled_plugins").write_text("[].\n")
    (home / "conf.d").mkdir(exist_ok=True)


def _environment(state: StateDirectory, home: Path, ports: dict[str, int]) -> dict[str, str]:
    """Every place where the package's scripts would otherwise look outside our folder."""
    return {
        "PATH": f"/usr/sbin:/sbin:{os.defpath}",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": _NODE,
        "RABBITMQ_DIST_PORT": str(ports["dist"]),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOGS": str(state.log("rabbitmq-node")),
        "RABBITMQ_LOG_BASE": str(state.directory("logs")),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        # Makes the start script become the Erlang machine instead of its parent, so that our signals reach it.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} "
            # Two schedulers that sleep when idle: services and tests want the processor too.
            "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
        ),
    }


def _port_mapper(home: Path, environment: dict[str, str], port: int) -> Program:
    return Program(
        name="epmd",
        command=("epmd", "-port", str(port), "-address", "127.0.0.1"),
        environment=environment,
        directory=home,
    )


def _node(home: Path, environment: dict[str, str]) -> Program:
    return Program(name="rabbitmq", command=(str(_SERVER),), environment=environment, directory=home)


async def _listens(port: int) -> bool:
    return not is_free(port)

"""`docker compose` as a person would type it, on a project of its own that disturbs no other."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
STAND_IN = "pipeline3d.stand-in"
"""The label of images that are not what their names say: stand-ins/README.md."""


INHERITED = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "PIP_INDEX_URL")
PORTS = (
    "PORT", "MINIO_PORT", "MINIO_CONSOLE_PORT", "RABBITMQ_MANAGEMENT_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "JAEGER_PORT",
)  # fmt: skip


class CommandFailedError(AssertionError):
    """Carries what the command said."""


def run(*command: str, environment: dict[str, str] | None = None, timeout_seconds: float = 600) -> str:
    """What it prints on stdout. Raises `CommandFailedError`."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_seconds, check=False
    )
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()[-6000:]
        raise CommandFailedError(f"`{' '.join(command)}` ended with status {done.returncode}:\n{said}")
    return done.stdout


def why_not_here() -> str | None:
    """None if an engine and the compose plug-in answer."""
    if not shutil.which("docker"):
        return "there is no docker command"
    needed = {"no Docker engine answers": ["info"], "docker has no compose plug-in": ["compose", "version"]}
    for missing, command in needed.items():
        if subprocess.run(["docker", *command], capture_output=True, timeout=30, check=False).returncode:
            return missing
    return None


class ComposeProject:
    def __init__(self, name: str, folder: Path) -> None:
        """`folder` is for the files that tell compose about this machine."""
        self.name = name
        self.ports = {name: free_port() for name in PORTS}
        self.environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.environment |= {name: str(port) for name, port in self.ports.items()}
        self.environment["PIPELINE3D_VERSION"] = "compose-test"
        self._files = ["--file", str(ROOT / "compose.yaml"), *self._about_this_machine(folder)]

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['PORT']}"

    def compose(self, *arguments: str, profiles: Sequence[str] = (), timeout_seconds: float = 600) -> str:
        asked = [word for profile in profiles for word in ("--profile", profile)]
        return run(
            *("docker", "compose", "--project-name", self.name, "--project-directory", str(ROOT)),
            # Whoever runs the tests may have a .env of his own.
            *("--env-file", os.devnull, *self._files, *asked, *arguments),
            environment=self.environment,
            timeout_seconds=timeout_seconds,
        )

    def config(self, *profiles: str) -> dict[str, Any]:
        """The compose file as compose understands it."""
        config: dict[str, Any] = json.loads(self.compose("config", "--format", "json", profiles=profiles))
        return config

    def containers(self, service: str | None = None, *, everything: bool = False) -> list[str]:
        """Ids, in no order; also of those that ended if `everything`."""
        chosen = [*(["--all"] if everything else []), *([service] if service else [])]
        return self.compose("ps", "--quiet", *chosen).split()

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = json.loads(run("docker", "inspect", *names))
        return described

    def execute(self, container: str, *command: str) -> str:
        return run("docker", "exec", container, *command)

    def api_key(self) -> str:
        return self.compose("run", "--rm", "api-key").strip()

    def _about_this_machine(self, folder: Path) -> list[str]:
        """Only for building: the certificate a proxy signs with, and another network, where this machine needs such."""
        certificate, network = os.environ.get("SSL_CERT_FILE"), os.environ.get("COMPOSE_TEST_BUILD_NETWORK")
        build: dict[str, Any] = {"network": network} if network else {}
        more: dict[str, Any] = {}
        if certificate:
            build["secrets"] = ["ca-certificates"]
            more["secrets"] = {"ca-certificates": {"file": certificate}}
        if not build:
            return []
        services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
        built = [name for name, service in services.items() if "build" in service]
        file = folder / "this-machine.json"
        file.write_text(json.dumps({"services": {service: {"build": build} for service in built}, **more}))
        return ["--file", str(file)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

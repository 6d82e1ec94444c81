"""The stack in containers, once for all tests of a run. `make compose-test` sets COMPOSE_TEST; without it nothing is started."""

import os
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from compose_project import STAND_IN, ComposeProject, why_not_here
from steps import eventually, serves

from devstack.api_client import ApiClient

NOT_RUN: list[str] = []
"""What could not be shown here, and why."""
MEASURED: list[str] = []
KEPT = os.environ.get("COMPOSE_TEST_KEEP")
"""The name of a project to be left running, and found again by the next run: for who works on these tests."""

collect_ignore = (
    [] if os.environ.get("COMPOSE_TEST") else ["test_images.py", "test_in_containers.py", "test_profiles.py"]
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in MEASURED:
        terminalreporter.write_line(line)
    for reason in dict.fromkeys(NOT_RUN):
        terminalreporter.write_line(f"NOT RUN: {reason}", yellow=True, bold=True)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProject]:
    """Not started yet. What it left behind is removed in the end."""
    if reason := why_not_here():
        NOT_RUN.append(f"everything in containers, as {reason}")
        pytest.skip(reason)
    project = ComposeProject(KEPT or f"p3d-test-{secrets.token_hex(3)}", tmp_path_factory.mktemp("compose"))
    try:
        yield project
    finally:
        if not KEPT:
            project.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", profiles=["*"])


@pytest.fixture(scope="session")
def images(project: ComposeProject) -> ComposeProject:
    """With all the images: ours built, those of others at hand."""
    config = project.config()
    args = config["services"]["gateway"]["build"]["args"]
    for image in sorted({args["PYTHON_IMAGE"], *others(project)}):
        if missing := why_not_at_hand(image):
            NOT_RUN.append(f"everything in containers, as {missing}")
            pytest.skip(missing)
    began = time.monotonic()
    project.compose("build", "--quiet", profiles=["*"], timeout_seconds=3000)
    MEASURED.append(f"images: built in {time.monotonic() - began:.0f} s")
    return project


@pytest.fixture(scope="session")
def running(images: ComposeProject) -> ComposeProject:
    """The whole stack, healthy."""
    began = time.monotonic()
    images.compose("up", "--detach", "--wait", "--wait-timeout", "300")
    MEASURED.append(f"stack: up and healthy in {time.monotonic() - began:.0f} s")
    return images


@pytest.fixture(scope="session")
def at_hand(project: ComposeProject) -> Callable[[str], str | None]:
    """Why a service of some profile cannot be started here; None if it can."""
    services = project.config("*")["services"]

    def why_not(service: str) -> str | None:
        if missing := why_not_at_hand(services[service]["image"]):
            NOT_RUN.append(f"{service}, as {missing}")
            return missing
        return None

    return why_not


@pytest.fixture
async def api(running: ComposeProject) -> AsyncIterator[ApiClient]:
    async with ApiClient(running.api_url, running.api_key()) as client:
        await eventually(lambda: serves(client, {"silhouette-v1", "simulated-v1"}), within_seconds=60)
        yield client


def others(project: ComposeProject, *profiles: str) -> list[str]:
    """The images that are not built here."""
    services = project.config(*profiles)["services"].values()
    built = {service["image"] for service in services if "build" in service}
    return sorted({service["image"] for service in services} - built)


def why_not_at_hand(image: str) -> str | None:
    """Pulls the image unless it is there. Says so if it is a stand-in."""
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{STAND_IN}"}}}}', image],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        if stand_in := found.stdout.strip():
            NOT_RUN.append(f"the real {image}: {stand_in} stood in for it")
        return None
    pulled = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, timeout=900, check=False)
    return f"the image {image} is neither at hand nor to be had" if pulled.returncode else None


@pytest.fixture(scope="session")
def assets() -> Path:
    return Path(__file__).parents[1] / "assets"

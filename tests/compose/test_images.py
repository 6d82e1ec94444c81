"""What is in the images, and what is not. Run by `make compose-test`."""

import json
import re

import pytest
from compose_project import ROOT, ComposeProject, run

OURS = ("gateway", "orchestrator", "artifacts", "gpu-worker", "tools")
EVERY_IMAGE = pytest.mark.parametrize("name", OURS)
MEGABYTE = 1_000_000


def image(name: str) -> str:
    return f"pipeline3d/{name}:compose-test"


def python(name: str, code: str) -> str:
    command = ("docker", "run", "--rm", "--network=none", "--read-only", "--entrypoint=python", image(name), "-c", code)
    return run(*command).strip()


@EVERY_IMAGE
def test_an_image_says_what_it_is_and_runs_as_nobody_in_particular(images: ComposeProject, name: str) -> None:
    config = images.inspect(image(name))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == f"Pipeline 3D {name}"
    assert labels["version"] == "compose-test"
    assert {"description", "revision"} <= labels.keys()
    assert name == "tools" or "service_kit.healthcheck" in config["Healthcheck"]["Test"]


@EVERY_IMAGE
def test_an_image_has_no_compiler_and_none_of_our_tests(images: ComposeProject, name: str) -> None:
    found = python(
        name,
        "import glob, json, shutil, pathlib; print(json.dumps({"
        "'programs': [p for p in ('gcc', 'cc', 'make', 'uv', 'git') if shutil.which(p)],"
        "'stray': [str(p) for p in pathlib.Path('/opt').rglob('*') if p.name in ('tests', '.env', 'requirements.lock')"
        " and 'site-packages' not in p.parts]}))",
    )
    assert json.loads(found) == {"programs": [], "stray": []}


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("gateway", {"numpy", "cv2", "aiobotocore", "orchestrator", "artifacts", "gpu_worker", "pytest", "devstack"}),
        (
            "orchestrator",
            {"numpy", "argon2", "aiobotocore", "gateway", "artifacts", "gpu_worker", "pytest", "devstack"},
        ),
        ("artifacts", {"numpy", "argon2", "gateway", "orchestrator", "gpu_worker", "pytest", "devstack"}),
        (
            "gpu-worker",
            {"argon2", "aiobotocore", "botocore", "gateway", "orchestrator", "artifacts", "pytest", "devstack"},
        ),
    ],
)
def test_an_image_has_nothing_that_only_another_service_needs(
    images: ComposeProject, name: str, foreign: set[str]
) -> None:
    code = f"import importlib.util as u; print(*[m for m in {sorted(foreign)} if u.find_spec(m)])"
    assert python(name, code) == ""


@EVERY_IMAGE
def test_what_is_in_an_image_is_what_was_locked(images: ComposeProject, name: str) -> None:
    locked = set(re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text()))
    code = (
        "import importlib.metadata as m, json, re;"
        "print(json.dumps([[re.sub('[-_.]+', '-', d.name).lower(), d.version] for d in m.distributions()"
        " if str(d.locate_file('')).startswith('/opt')]))"
    )
    installed = [tuple(pair) for pair in json.loads(python(name, code))]
    others = [pair for pair in installed if not pair[0].startswith("pipeline3d-")]
    assert len(others) > 20
    assert [pair for pair in others if pair not in locked] == []


@EVERY_IMAGE
def test_an_image_carries_no_trace_of_how_it_was_built(images: ComposeProject, name: str) -> None:
    history = run("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image(name))
    environment = images.inspect(image(name))[0]["Config"]["Env"]
    assert not re.search(r"PIP_INDEX|SSL_CERT|ca-certificates|://", f"{history} {environment}")


@pytest.mark.parametrize(
    ("name", "megabytes"), [("gateway", 140), ("orchestrator", 125), ("artifacts", 155), ("gpu-worker", 580)]
)
def test_an_image_is_no_larger_than_it_must_be(images: ComposeProject, name: str, megabytes: int) -> None:
    """Without the base, which all share."""
    base = images.config()["services"]["gateway"]["build"]["args"]["PYTHON_IMAGE"]
    whole, below = (images.inspect(reference)[0]["Size"] for reference in (image(name), base))
    assert (whole - below) / MEGABYTE < megabytes

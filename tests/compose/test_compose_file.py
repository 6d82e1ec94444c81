"""What compose.yaml promises, read from the file itself: these need no engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifacts.settings import ArtifactsSettings
from gateway.settings import GatewaySettings
from gpu_worker.settings import GpuWorkerSettings
from orchestrator.settings import OrchestratorSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS = {
    "gateway": GatewaySettings,
    "orchestrator": OrchestratorSettings,
    "artifacts": ArtifactsSettings,
    "gpu-worker": GpuWorkerSettings,
}
READ_BY_LIBRARIES = "OTEL_"
CLOSING_SECONDS = 15
EVERY_SERVICE = pytest.mark.parametrize("name", SERVICES)


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", ()))


def secrets_of(name: str) -> set[str]:
    mounts = (volume.split(":") for volume in SERVICES[name].get("volumes", ()))
    return {source for source, target, *_ in mounts if target == "/run/secrets"}


@EVERY_SERVICE
def test_no_container_can_change_itself_or_gain_a_privilege(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


@EVERY_SERVICE
def test_no_container_can_take_the_whole_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["pids_limit"] > 0
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()


@EVERY_SERVICE
def test_every_image_of_others_is_one_exact_version(name: str) -> None:
    image = SERVICES[name]["image"]
    if not image.startswith("pipeline3d/"):
        assert re.search(r":v?(\d+\.\d+\.\d+|\d+\.\d+-|RELEASE\.20\d\d-)", image), image


@EVERY_SERVICE
def test_what_is_mounted_from_the_repository_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, _, rest = volume.partition(":")
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
            assert rest.endswith(":ro")


def test_only_who_owns_tables_can_reach_the_database() -> None:
    reach = {name for name in SERVICES if networks("postgres") & networks(name)}
    assert reach == {"postgres", "migrate", "gateway", "orchestrator", "artifacts"}
    assert COMPOSE["networks"]["database"]["internal"] is True


def test_only_the_load_balancer_stands_between_the_outside_and_a_gateway() -> None:
    assert {name for name in SERVICES if "front" in networks(name)} == {"load-balancer", "gateway"}
    published = {name for name in SERVICES if "ports" in SERVICES[name]}
    assert not published & {"gateway", "orchestrator", "artifacts", "gpu-worker", "postgres"}


def test_what_is_published_is_on_this_machine_only_unless_somebody_says_otherwise() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) > 2
    assert all(port.startswith(("127.0.0.1:", "${PUBLISH_ADDRESS:-127.0.0.1}:")) for port in ports)


def test_each_service_mounts_its_own_secrets_and_nobody_elses() -> None:
    long_lived = {name: secrets_of(name) for name in SERVICES if SERVICES[name]["restart"] != "no"}
    own = {name: {f"secrets-{name.removesuffix('-nvidia')}"} for name in long_lived}
    assert all(secrets <= own[name] for name, secrets in long_lived.items()), long_lived
    for name, service in SERVICES.items():
        mounted = [volume for volume in service.get("volumes", ()) if volume.startswith("secrets-")]
        assert name == "secrets" or all(volume.endswith(":/run/secrets:ro") for volume in mounted)


def test_only_the_artifacts_service_and_the_store_have_the_storage_keys() -> None:
    storage = {"secrets-minio", "secrets-artifacts"}
    assert {name for name in SERVICES if secrets_of(name) & storage} == {"minio", "artifacts"}


def test_no_secret_is_written_down_or_passed_by_the_environment() -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|API_KEY|DATABASE_URL|RABBITMQ_URL")
    for name, service in SERVICES.items():
        given = {key: value for key, value in service.get("environment", {}).items() if secret.search(key)}
        if name == "secrets":
            assert all(value is None for value in given.values())  # what the caller's environment says
        else:
            assert all(key.endswith("_FILE") for key in given), (name, given)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_that_is_passed_is_one_that_the_service_reads(name: str) -> None:
    known = {field.upper() for field in SETTINGS[name].model_fields}
    passed = {key for key in SERVICES[name]["environment"] if not key.startswith(READ_BY_LIBRARIES)}
    assert passed <= known


@pytest.mark.parametrize("name", SETTINGS)
def test_a_service_gets_the_time_it_needs_to_stop(name: str) -> None:
    fields = SETTINGS[name].model_fields
    drain = float(SERVICES[name]["environment"].get("DRAIN_SECONDS", fields["drain_seconds"].default))
    longest = drain + fields["shutdown_grace_seconds"].default + CLOSING_SECONDS
    assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) > longest


def test_a_gateway_drains_for_longer_than_the_load_balancer_needs_to_notice() -> None:
    configuration = (ROOT / "deploy/compose/haproxy.cfg").read_text()
    found = re.search(r"check inter (\d+)s fall (\d+)", configuration)
    assert found
    assert float(SERVICES["gateway"]["environment"]["DRAIN_SECONDS"]) > 2 * int(found[1]) * int(found[2])


def test_what_runs_once_is_waited_for() -> None:
    once = {name for name in SERVICES if SERVICES[name]["restart"] == "no" and "profiles" not in SERVICES[name]}
    awaited = {
        needed
        for service in SERVICES.values()
        for needed, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert once == awaited == {"secrets", "definitions", "migrate"}


def test_the_broker_loads_the_definitions_where_they_are_written() -> None:
    configuration = (ROOT / "deploy/rabbitmq/rabbitmq.conf").read_text()
    found = re.search(r"(?m)^load_definitions = (/\S+)/definitions\.json$", configuration)
    assert found
    assert f"broker-definitions:{found[1]}:ro" in SERVICES["rabbitmq"]["volumes"]
    assert "definitions.json" in SERVICES["definitions"]["command"][-1]

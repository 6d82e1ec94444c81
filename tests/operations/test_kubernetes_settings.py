"""Every service is given what it needs, all of it valid, its own secrets and nobody else's."""

import json
import re
from urllib.parse import urlsplit

import pytest
from cluster import OVERLAYS, WORKLOADS, environment, manifests, named, pod_of, secret_of, secrets, service_of, value_at
from cluster_settings import SETTINGS, services, settings_of
from make_secrets import manifest

from gateway.settings import InitialDataSettings
from service_kit.environment import EnvironmentSettings
from service_kit.provision import RolePasswords

EVERYWHERE = pytest.mark.parametrize("overlay", OVERLAYS)


@EVERYWHERE
def test_a_service_starts_with_what_it_is_given(overlay: str) -> None:
    for deployment in services(overlay):
        settings = settings_of(overlay, deployment)
        (container,) = pod_of(deployment)["containers"]

        assert settings.host == "0.0.0.0"
        assert [port["containerPort"] for port in container["ports"]] == [settings.port]


@EVERYWHERE
def test_no_setting_is_given_that_the_service_does_not_know(overlay: str) -> None:
    for deployment in services(overlay):
        known = {name.upper() for name in SETTINGS[service_of(deployment)].model_fields}
        given = {*environment(overlay, deployment), *(key.upper() for key in secrets()[secret_of(deployment)])}

        assert {name for name in given - known if not name.startswith("OTEL_")} == set(), service_of(deployment)


@EVERYWHERE
def test_each_pod_mounts_its_own_secret_and_no_other_and_no_token_of_kubernetes(overlay: str) -> None:
    for workload in manifests(overlay, *WORKLOADS):
        pod = pod_of(workload)
        (mount,) = (mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "secrets")

        assert secret_of(workload) == service_of(workload)
        assert mount["mountPath"] == "/run/secrets"
        assert mount["readOnly"]
        assert pod["automountServiceAccountToken"] is False
        assert named(overlay, "ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False
        assert "secretKeyRef" not in json.dumps(pod)


@EVERYWHERE
def test_nothing_secret_is_in_the_repository(overlay: str) -> None:
    assert manifests(overlay, "Secret") == []
    for config in manifests(overlay, "ConfigMap"):
        assert not re.search(r"TOKEN|PASSWORD|SECRET|ACCESS_KEY|DATABASE_URL|RABBITMQ_URL", " ".join(config["data"]))


@EVERYWHERE
def test_every_secret_that_is_named_is_one_that_is_made(overlay: str) -> None:
    text = json.dumps(manifests(overlay))
    mounted = set(re.findall(r'"secretName": "([^"]+)"', text))
    credentials = {
        *value_at(named(overlay, "Cluster", "postgresql"), "spec", "bootstrap", "initdb", "secret").values(),
        *(
            role["passwordSecret"]["name"]
            for role in named(overlay, "Cluster", "postgresql")["spec"]["managed"]["roles"]
        ),
    }

    assert (mounted | credentials) - {"rabbitmq-tls"} <= secrets().keys()


def test_the_migrations_find_every_secret_that_they_read() -> None:
    read = {f"{service}_database_url" for service in ("gateway", "orchestrator", "artifacts")}
    read |= {"admin_database_url", *RolePasswords.model_fields}
    read |= {name for name in InitialDataSettings.model_fields if name.startswith("first_superuser_")}

    assert named("production", "Job", "migrate")["spec"]["template"]["spec"]["containers"][0]["command"][-1].endswith(
        "/migrate.sh"
    )
    assert secrets()["migrate"].keys() == read


@pytest.mark.parametrize("overlay", ["production", "gpu"])
def test_the_vault_has_an_entry_for_every_secret(overlay: str) -> None:
    from_vault = {secret["spec"]["target"]["name"] for secret in manifests(overlay, "ExternalSecret")}

    assert from_vault == secrets().keys() - {"object-store"} | {"postgresql-backup"}


def test_the_database_takes_its_administrator_from_a_secret_of_the_right_type() -> None:
    from_vault = named("production", "ExternalSecret", "postgresql-admin")["spec"]["target"]["template"]["type"]

    assert from_vault == manifest("postgresql-admin", {})["type"] == "kubernetes.io/basic-auth"
    assert secrets()["postgresql-admin"].keys() == {"username", "password"}


@EVERYWHERE
def test_addresses_are_those_of_services_that_exist(overlay: str) -> None:
    artifacts = named(overlay, "Service", "artifacts")["spec"]["ports"][0]["port"]
    for deployment in services(overlay):
        given = environment(overlay, deployment) | secrets()[secret_of(deployment)]
        expected = {
            "ARTIFACTS_URL": ("artifacts", artifacts),
            "database_url": (named(overlay, "Cluster", "postgresql")["metadata"]["name"] + "-rw", 5432),
            "rabbitmq_url": (named(overlay, "RabbitmqCluster", "rabbitmq")["metadata"]["name"], 5672),
        }
        for name in expected.keys() & given.keys():
            assert (urlsplit(given[name]).hostname, urlsplit(given[name]).port) == expected[name]


def test_settings_can_come_from_files() -> None:
    """Every service reads /run/secrets: else what is mounted there would go unread."""
    assert all(issubclass(settings, EnvironmentSettings) for settings in SETTINGS.values())

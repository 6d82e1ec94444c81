"""The Kubernetes overlays mean what they should: what no schema can know. `make check` validates the schemas."""

import json
import re

import pytest
import yaml
from cluster import OVERLAYS, WORKLOADS, containers, labels_of, manifests, named, pod_of, secrets, value_at
from cluster_settings import SETTINGS, services, settings_of
from metric_vocabulary import REPOSITORY as ROOT
from network_policies import matches

from service_kit import health, server

EVERYWHERE = pytest.mark.parametrize("overlay", OVERLAYS)
OF_OPERATORS = ({"app.kubernetes.io/name": "rabbitmq"}, {"cnpg.io/cluster": "postgresql"})
"""Labels of the pods that they make."""

# --- pods ---


@EVERYWHERE
def test_every_image_is_ours_or_pinned_to_a_version(overlay: str) -> None:
    images = [container["image"] for _, _, container in containers(overlay)]
    images += [value_at(cluster, "spec", "image") for cluster in manifests(overlay, "RabbitmqCluster")]
    for image in images:
        name, _, tag = image.rpartition(":")
        ours = re.fullmatch(
            r"(registry\.example\.org/)?pipeline3d/(gateway|orchestrator|artifacts|gpu-worker|tools)", name
        )
        pinned = re.search(r"\d+\.\d+|\d{4}-\d{2}-\d{2}", tag)

        assert pinned or (ours and overlay == "laptop"), image


@EVERYWHERE
def test_every_container_is_confined(overlay: str) -> None:
    """Pod Security Standard "restricted", and a root file system that cannot be written."""
    for name, pod, container in containers(overlay):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name


@EVERYWHERE
def test_every_container_says_what_it_needs_and_where_it_ends(overlay: str) -> None:
    for name, pod, container in containers(overlay):
        resources = container["resources"]

        assert resources["requests"].keys() >= {"cpu", "memory"}, name
        assert "memory" in resources["limits"], name
        assert "cpu" not in resources["limits"], f"{name}: a throttled heartbeat is a lost lease"
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume), name


@EVERYWHERE
def test_probes_are_as_patient_as_what_they_ask(overlay: str) -> None:
    for deployment in services(overlay):
        (container,) = pod_of(deployment)["containers"]
        startup, live, ready = (container[f"{name}Probe"] for name in ("startup", "liveness", "readiness"))

        assert startup["httpGet"] == live["httpGet"] == {"path": "/health/live", "port": "http"}
        assert ready["httpGet"] == {"path": "/health/ready", "port": "http"}
        assert min(probe["timeoutSeconds"] for probe in (startup, live, ready)) > health._CHECK_TIMEOUT_SECONDS
        patience_seconds = settings_of(overlay, deployment).startup_patience_seconds
        assert startup["periodSeconds"] * startup["failureThreshold"] > patience_seconds + 10


@EVERYWHERE
def test_a_pod_is_given_the_time_to_finish_to_hand_back_and_to_close(overlay: str) -> None:
    for deployment in services(overlay):
        settings = settings_of(overlay, deployment)
        needed = settings.drain_seconds + settings.shutdown_grace_seconds + server._CLOSING_SECONDS

        assert pod_of(deployment)["terminationGracePeriodSeconds"] > needed, deployment["metadata"]["name"]


@EVERYWHERE
def test_what_a_service_sends_requests_to_drains_before_it_stops(overlay: str) -> None:
    """Kubernetes takes a pod out of its Service while it already stops; until proxies know, requests still come."""
    for deployment in services(overlay):
        if any(
            matches({"matchLabels": service["spec"]["selector"]}, labels_of(deployment))
            for service in manifests(overlay, "Service")
        ):
            assert settings_of(overlay, deployment).drain_seconds >= 5


# --- references ---


def test_every_component_is_part_of_an_overlay() -> None:
    """What no overlay takes is never rendered, and nobody would know whether it can be."""
    folder = ROOT / "deploy/kubernetes"
    taken = " ".join(path.read_text() for path in folder.glob("overlays/**/kustomization.yaml"))

    assert all(f"components/{component.name}\n" in taken for component in (folder / "components").iterdir())


@EVERYWHERE
def test_selectors_select_something(overlay: str) -> None:
    pods = [*(labels_of(workload) for workload in manifests(overlay, *WORKLOADS)), *OF_OPERATORS]
    selectors = [
        *((policy, policy["spec"]["podSelector"]) for policy in manifests(overlay, "NetworkPolicy")),
        *((other, other["spec"]["selector"]) for other in manifests(overlay, "PodDisruptionBudget", "PodMonitor")),
        *((service, {"matchLabels": service["spec"]["selector"]}) for service in manifests(overlay, "Service")),
    ]
    for manifest, selector in selectors:
        assert any(matches(selector, labels) for labels in pods), manifest["metadata"]["name"]
    for workload in manifests(overlay, "Deployment", "StatefulSet"):
        own = [labels for labels in pods if matches(workload["spec"]["selector"], labels)]
        assert own == [labels_of(workload)], f"{workload['metadata']['name']} must select its own pods and no others"


@EVERYWHERE
def test_services_and_monitors_name_ports_that_their_pods_have(overlay: str) -> None:
    for service in manifests(overlay, "Service"):
        for workload in manifests(overlay, *WORKLOADS):
            if matches({"matchLabels": service["spec"]["selector"]}, labels_of(workload)):
                ports = {port["name"] for port in pod_of(workload)["containers"][0]["ports"]}
                assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@EVERYWHERE
def test_a_drained_node_never_takes_the_last_replica(overlay: str) -> None:
    budgets = manifests(overlay, "PodDisruptionBudget")
    for deployment in services(overlay):
        (budget,) = (budget for budget in budgets if matches(budget["spec"]["selector"], labels_of(deployment)))

        assert budget["spec"]["maxUnavailable"] in {1, "25%"}


def test_every_service_has_two_replicas_in_production() -> None:
    least = {
        hpa["spec"]["scaleTargetRef"]["name"]: hpa["spec"]["minReplicas"]
        for hpa in manifests("production", "HorizontalPodAutoscaler")
    }
    for name in ("gateway", "orchestrator", "artifacts"):
        assert (named("production", "Deployment", name)["spec"].get("replicas") or least[name]) >= 2


def test_all_replicas_together_fit_into_the_database() -> None:
    most = {
        hpa["spec"]["scaleTargetRef"]["name"]: hpa["spec"]["maxReplicas"]
        for hpa in manifests("production", "HorizontalPodAutoscaler")
    }
    connections = 0
    for name in ("gateway", "orchestrator", "artifacts"):
        deployment = named("production", "Deployment", name)
        replicas = most.get(name) or deployment["spec"]["replicas"]
        surge = deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        connections += (replicas + surge) * settings_of("production", deployment).database_pool_size
    cluster = named("production", "Cluster", "postgresql")

    assert connections + 20 <= int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])


# --- from outside, and what is looked at ---


def test_the_whole_api_is_public_and_nothing_else() -> None:
    (rule,) = named("production", "HTTPRoute", "gateway")["spec"]["rules"]

    def is_public(path: str) -> bool:
        return any(
            path == match["path"]["value"]
            if match["path"]["type"] == "Exact"
            else path == match["path"]["value"] or path.startswith(match["path"]["value"] + "/")
            for match in rule["matches"]
        )

    api = json.loads((ROOT / "specs/openapi.json").read_text())["paths"]
    assert all(is_public(path) for path in (*api, "/docs", "/openapi.json"))
    assert not any(
        is_public(path) for path in ("/metrics", "/health/live", "/health/ready", "/internal/worker/registrations")
    )


def test_everything_that_has_metrics_is_scraped_under_its_name() -> None:
    (services_monitor,) = (m for m in manifests("production", "PodMonitor") if m["metadata"]["name"] == "services")
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    jobs = {config["job_name"] for config in prometheus["scrape_configs"]} & SETTINGS.keys()

    assert services_monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
    assert {
        name for name in jobs if matches(services_monitor["spec"]["selector"], {"app.kubernetes.io/name": name})
    } == set(SETTINGS)
    for deployment in services("production"):
        assert matches(services_monitor["spec"]["selector"], labels_of(deployment))


def test_the_servers_of_production_survive_the_loss_of_one() -> None:
    postgresql = named("production", "Cluster", "postgresql")["spec"]
    rabbitmq = named("production", "RabbitmqCluster", "rabbitmq")["spec"]

    assert postgresql["instances"] >= 3
    assert postgresql["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
        "failoverQuorum": True,
    }
    assert rabbitmq["replicas"] == 3
    assert "target_group_size = 3" in rabbitmq["rabbitmq"]["additionalConfig"]
    assert "load_definitions = /etc/rabbitmq/definitions/definitions.json" in rabbitmq["rabbitmq"]["additionalConfig"]
    assert "definitions.json" in secrets()["rabbitmq-definitions"]

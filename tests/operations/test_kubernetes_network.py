"""The network policies allow exactly what the topology needs. What a policy means is computed here, not by a cluster."""

import pytest
from cluster import OVERLAYS, endpoints, manifests
from network_policies import flows

AMQP, AMQPS, POSTGRESQL, HTTPS, S3 = 5672, 5671, 5432, 443, 9000
PORTS = (
    *(22, 53, 80, HTTPS, 4369, POSTGRESQL, AMQPS, AMQP, 6443, 8000, 8001, 8002, 8003, S3, 9187, 15672, 15692, 25672),
    *(35672, 35682, 35683),
)
SERVICES = {"gateway": 8000, "orchestrator": 8001, "artifacts": 8002, "gpu-worker": 8003}

ASKED_AND_TOLD = {
    ("ingress", "gateway", 8000),
    ("gateway", "artifacts", 8002),
    ("gpu-worker", "artifacts", 8002),
    *((service, "rabbitmq", AMQP) for service in SERVICES),
    *((service, "postgresql", POSTGRESQL) for service in ("gateway", "orchestrator", "artifacts", "migrate")),
}
AMONG_SERVERS = {
    *(("rabbitmq", "rabbitmq", port) for port in (4369, 25672, 35672, 35682)),
    ("rabbitmq-operator", "rabbitmq", 15672),
    *((caller, "postgresql", port) for caller in ("postgresql", "postgresql-operator") for port in (POSTGRESQL, 8000)),
}
MEASURED = {
    *(("prometheus", service, port) for service, port in SERVICES.items()),
    ("prometheus", "rabbitmq", 15692),
    ("prometheus", "postgresql", 9187),
}


def _of_the_store(overlay: str) -> set[tuple[str, str, int]]:
    store = ("object-store", S3) if overlay == "laptop" else ("internet", HTTPS)
    return {(service, *store) for service in ("artifacts", "gpu-worker")}


def _from_outside(overlay: str) -> set[tuple[str, str, int]]:
    """What workers on other networks need: the broker, encrypted, and the artifacts service through the proxy."""
    if overlay != "outside-workers":
        return set()
    return {("ingress", "artifacts", 8002), *((name, "rabbitmq", AMQPS) for name in _outside(overlay))}


def _outside(overlay: str) -> list[str]:
    return [endpoint.name for endpoint in endpoints(overlay) if endpoint.namespace != "pipeline3d"]


def _of_instance_managers(overlay: str) -> set[tuple[str, str, int]]:
    """PostgreSQL's ask the Kubernetes API, and back up to a store, wherever those are: not in this namespace."""
    return {
        ("postgresql", name, port) for name in _outside(overlay) for port in (HTTPS, 6443) if name != "metadata-service"
    }


def _allowed(overlay: str) -> set[tuple[str, str, int]]:
    everybody = endpoints(overlay)
    inside = {endpoint.name for endpoint in everybody if endpoint.namespace == "pipeline3d"}
    allowed = flows(manifests(overlay, "NetworkPolicy"), everybody, PORTS)
    return {(source, target, port) for source, target, port in allowed if source in inside or target in inside}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_exactly_the_connections_of_the_topology_are_allowed(overlay: str) -> None:
    of_names = {flow for flow in _allowed(overlay) if flow[1] == "dns" and flow[2] == 53}

    needed = ASKED_AND_TOLD | AMONG_SERVERS | MEASURED | _of_the_store(overlay) | _of_instance_managers(overlay)

    assert _allowed(overlay) - of_names == needed | _from_outside(overlay)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everybody_may_resolve_names(overlay: str) -> None:
    inside = {endpoint.name for endpoint in endpoints(overlay) if endpoint.namespace == "pipeline3d"}

    assert {source for source, target, port in _allowed(overlay) if target == "dns" and port == 53} == inside


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_reaches_the_bus_the_artifacts_service_and_the_store_and_nothing_else(overlay: str) -> None:
    reached = {target for source, target, _ in _allowed(overlay) if source == "gpu-worker"}

    assert reached == {"rabbitmq", "artifacts", "dns", "object-store" if overlay == "laptop" else "internet"}


def test_without_the_policy_of_one_side_a_connection_is_refused() -> None:
    """What the tests above rest on: the evaluation can say no."""
    everybody = endpoints("production")
    policies = manifests("production", "NetworkPolicy")
    for one_side in ("uses-the-broker", "rabbitmq"):
        others = [policy for policy in policies if policy["metadata"]["name"] != one_side]

        assert ("gateway", "rabbitmq", AMQP) not in flows(others, everybody, PORTS)

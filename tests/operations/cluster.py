"""The rendered overlays, as tests look at them."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from make_secrets import Secrets, secrets_of_the_stack
from network_policies import Endpoint
from overlays import OVERLAYS, Manifest, render

from contracts.ids import ModelId
from contracts.workers import ServedModel

__all__ = ["OVERLAYS", "Manifest"]

WORKLOADS = ("Deployment", "StatefulSet", "Job")


@cache
def _rendered(overlay: str) -> tuple[Manifest, ...]:
    return tuple(render(overlay))


def manifests(overlay: str, *kinds: str) -> list[Manifest]:
    return [manifest for manifest in _rendered(overlay) if not kinds or manifest["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Manifest:
    (found,) = (manifest for manifest in manifests(overlay, kind) if manifest["metadata"]["name"] == name)
    return found


def pod_of(workload: Manifest) -> Manifest:
    """The pod's spec."""
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def labels_of(workload: Manifest) -> dict[str, str]:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def service_of(workload: Manifest) -> str:
    """gateway, orchestrator, artifacts, gpu-worker: whichever of our programs it runs."""
    return labels_of(workload)["app.kubernetes.io/name"]


def containers(overlay: str) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Name of the workload, its pod, one of its containers."""
    for workload in manifests(overlay, *WORKLOADS):
        pod = pod_of(workload)
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield workload["metadata"]["name"], pod, container


def environment(overlay: str, workload: Manifest) -> dict[str, str]:
    """What its container finds in its environment, from ConfigMaps."""
    (container,) = pod_of(workload)["containers"]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {variable["name"]: variable["value"] for variable in container.get("env", ())}


def secret_of(workload: Manifest) -> str:
    """The one Secret its pod mounts."""
    (name,) = (volume["secret"]["secretName"] for volume in pod_of(workload)["volumes"] if "secret" in volume)
    return str(name)


@cache
def secrets() -> Secrets:
    return secrets_of_the_stack(lambda name: f"{name}-that-is-long-enough", with_store=True)


def pools(overlay: str) -> list[Manifest]:
    return [deployment for deployment in manifests(overlay, "Deployment") if service_of(deployment) == "gpu-worker"]


def served_models(overlay: str, pool: Manifest) -> list[ServedModel]:
    """What the pool is told to serve, whether there is an engine for it or not."""
    pairs = (entry.split(":") for entry in environment(overlay, pool)["WORKER_MODELS"].split(","))
    return [ServedModel(model_id=ModelId(name), slots=int(slots)) for name, slots in pairs]


def endpoints(overlay: str) -> list[Endpoint]:
    """Every pod of the namespace, those that the operators make included, and who else may want something of them."""
    ours = {
        service_of(workload): Endpoint(
            service_of(workload),
            labels_of(workload),
            workload["metadata"]["namespace"],
            ports={port["name"]: port["containerPort"] for port in pod_of(workload)["containers"][0].get("ports", ())},
        )
        for workload in manifests(overlay, *WORKLOADS)
    }
    return [
        *ours.values(),
        Endpoint("rabbitmq", {"app.kubernetes.io/name": "rabbitmq"}, "pipeline3d"),
        Endpoint("postgresql", {"cnpg.io/cluster": "postgresql"}, "pipeline3d"),
        _foreign("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
        _foreign("rabbitmq-operator", "rabbitmq-system"),
        _foreign("postgresql-operator", "cnpg-system"),
        _foreign("ingress", "gateway-system", is_ingress=True),
        _foreign("dns", "kube-system", {"k8s-app": "kube-dns"}),
        _foreign("stranger", "default", {"app.kubernetes.io/name": "gateway"}),
        Endpoint("internet", address="203.0.113.7"),
        Endpoint("private-network", address="192.168.7.7"),
        Endpoint("metadata-service", address="169.254.169.254"),
    ]


def _foreign(name: str, namespace: str, labels: dict[str, str] | None = None, *, is_ingress: bool = False) -> Endpoint:
    namespace_labels = {"kubernetes.io/metadata.name": namespace} | (
        {"pipeline3d.io/ingress": "true"} if is_ingress else {}
    )
    return Endpoint(name, labels or {}, namespace, namespace_labels)


def value_at(manifest: Manifest, *path: Any) -> Any:
    """None where something on the path is not there."""
    found: Any = manifest
    for step in path:
        try:
            found = found[step]
        except (KeyError, IndexError):
            return None
    return found

"""The settings with which each service starts, read as it reads them: from nothing but its ConfigMap and its Secret."""

import os
import tempfile
from pathlib import Path
from unittest import mock

from cluster import Manifest, environment, manifests, secret_of, secrets, served_models, service_of

from artifacts.settings import ArtifactsSettings
from gateway.settings import GatewaySettings
from gpu_worker.engines.registry import ENGINES
from gpu_worker.settings import GpuWorkerSettings
from orchestrator.settings import OrchestratorSettings
from service_kit.settings import ServiceSettings

SETTINGS: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "orchestrator": OrchestratorSettings,
    "artifacts": ArtifactsSettings,
    "gpu-worker": GpuWorkerSettings,
}


def services(overlay: str) -> list[Manifest]:
    """The Deployments of our services, each pool of workers among them."""
    return [deployment for deployment in manifests(overlay, "Deployment") if service_of(deployment) in SETTINGS]


def settings_of(overlay: str, deployment: Manifest) -> ServiceSettings:
    """Raises pydantic's ValidationError if the service would not start."""
    given = environment(overlay, deployment)
    if service_of(deployment) == "gpu-worker" and not has_engines(overlay, deployment):
        given["WORKER_MODELS"] = "simulated-v1:1"
    with tempfile.TemporaryDirectory() as folder:
        for key, value in secrets()[secret_of(deployment)].items():
            (Path(folder) / key).write_text(value)
        with mock.patch.dict(os.environ, given | {"SECRETS_DIR": folder}, clear=True):
            return SETTINGS[service_of(deployment)]()


def has_engines(overlay: str, pool: Manifest) -> bool:
    """Whether today's image could serve all that the pool is told to."""
    return all(model.model_id in ENGINES for model in served_models(overlay, pool))

"""Pools of workers serve what they should, agree with the orchestrator, and grow with the backlog of their model."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from cluster import OVERLAYS, Manifest, manifests, named, pod_of, pools, served_models, service_of
from cluster_settings import has_engines, services, settings_of
from metric_vocabulary import REPOSITORY as ROOT
from metric_vocabulary import vocabulary

EVERYWHERE = pytest.mark.parametrize("overlay", OVERLAYS)


@EVERYWHERE
def test_workers_and_orchestrator_agree_on_the_lease(overlay: str) -> None:
    leases = {
        settings_of(overlay, deployment).lease_ttl_seconds
        for deployment in services(overlay)
        if service_of(deployment) in {"orchestrator", "gpu-worker"}
    }

    assert len(leases) == 1


@EVERYWHERE
def test_a_pool_serves_models_of_the_catalogue(overlay: str) -> None:
    catalogue = json.loads((ROOT / "services/gateway/src/gateway/seeds/ai_models.json").read_text())
    for pool in pools(overlay):
        assert {model.model_id for model in served_models(overlay, pool)} <= {entry["id"] for entry in catalogue}
        assert has_engines(overlay, pool) or overlay == "gpu", "only the example with GPUs may wait for its engines"


@pytest.mark.parametrize("overlay", ["production", "gpu"])
def test_a_pool_grows_with_the_backlog_of_its_model_by_its_slots(overlay: str) -> None:
    for pool in pools(overlay):
        (scaled,) = (
            scaled
            for scaled in manifests(overlay, "ScaledObject")
            if scaled["spec"]["scaleTargetRef"]["name"] == pool["metadata"]["name"]
        )
        (trigger,) = scaled["spec"]["triggers"]
        (model,) = served_models(overlay, pool)

        assert re.findall(r'model="([^"]+)"', trigger["metadata"]["query"]) == [model.model_id]
        assert trigger["metadata"]["threshold"] == str(model.slots)
        assert trigger["metadata"]["ignoreNullValues"] == "false", "no answer must not look like no work"
        assert scaled["spec"]["minReplicaCount"] == 0
        assert "replicas" not in pool["spec"], "KEDA and kubectl apply would take turns"
    assert len(manifests(overlay, "ScaledObject")) == len(pools(overlay))


def test_pools_are_scaled_on_metrics_that_exist() -> None:
    for scaled in manifests("gpu", "ScaledObject"):
        query = _query_of(scaled).replace('namespace="pipeline3d",', "")  # which is of every target

        assert vocabulary().complaints(query) == []


def _query_of(scaled: Manifest) -> str:
    query: str = scaled["spec"]["triggers"][0]["metadata"]["query"]
    return query


_COUNTED = ('p3d_census_age_seconds{namespace="pipeline3d",of="jobs",pod="%s"}', "3")
_NOT_COUNTED = ('p3d_census_age_seconds{namespace="pipeline3d",of="jobs",pod="%s"}', "600")
_OF_THIS_MODEL = ('p3d_backlog{namespace="pipeline3d",model="silhouette-v1",pod="%s"}', "7")
_OF_ANOTHER = ('p3d_backlog{namespace="pipeline3d",model="simulated-v1",pod="%s"}', "9")


@pytest.mark.parametrize(
    ("series", "answer"),
    [
        pytest.param([_COUNTED, _OF_THIS_MODEL, _OF_ANOTHER], 7, id="the backlog of its model, once for all replicas"),
        pytest.param([_COUNTED, _OF_ANOTHER], 0, id="none where the model is not asked for"),
        pytest.param([_NOT_COUNTED], None, id="no answer where nobody could count"),
        pytest.param([], None, id="no answer where there is no orchestrator"),
    ],
)
def test_the_question_of_a_pool_is_answered_with(
    series: list[tuple[str, str]], answer: int | None, tmp_path: Path
) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here; `make check` installs it")
    query = _query_of(named("production", "ScaledObject", "gpu-worker-silhouette-v1"))
    replicas = [{"series": name % pod, "values": value} for name, value in series for pod in ("one", "two")]
    samples = [] if answer is None else [{"labels": "{}", "value": answer}]
    case = {
        "interval": "1m",
        "input_series": replicas,
        "promql_expr_test": [{"expr": query, "eval_time": "0m", "exp_samples": samples}],
    }
    (tmp_path / "case.yml").write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [case]}))

    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "case.yml"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("model", ["sf3d-v1", "dreamfusion-sd"])
def test_a_pool_with_gpus_goes_where_gpus_are(model: str) -> None:
    pod = pod_of(named("gpu", "Deployment", f"gpu-worker-{model}"))

    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"

"""`python deploy/kubernetes/check.py [--crds FOLDER]`: renders every overlay and validates every manifest, strictly.

Kubernetes' own kinds against its published schemas, of the oldest and the newest version that is meant; the operators' against
`custom_resources.py`. Fields that a schema does not name are refused. What the manifests mean is for tests/operations to say.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import kubernetes_validate
import prometheus_rule
from custom_resources import Kind, Schema, complaints, definitions, used_fields
from overlays import OVERLAYS, Manifest, NoKubectlError, called, render

OLDEST, NEWEST = "1.29", kubernetes_validate.latest_version()
_OF_KUBERNETES = ("v1", "apps/", "batch/", "autoscaling/", "policy/", "networking.k8s.io/")


def check(manifest: Manifest, schemas: Mapping[Kind, Schema]) -> Iterator[str]:
    if not manifest["apiVersion"].startswith(_OF_KUBERNETES):
        yield from complaints(manifest, schemas)
        return
    for version in (OLDEST, NEWEST):
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{called(manifest)}, Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{called(manifest)}, Kubernetes {version}: {error.message}"


def check_overlay(overlay: str, schemas: Mapping[Kind, Schema]) -> tuple[int, list[str]]:
    """How many manifests it has, and what is wrong with them."""
    manifests = render(overlay)
    return len(manifests), [f"{overlay}: {wrong}" for manifest in manifests for wrong in check(manifest, schemas)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crds", type=Path, help="a folder of CustomResourceDefinitions to hold the manifests against")
    folder = parser.parse_args().crds
    schemas = definitions(folder) if folder else used_fields()
    wrong: list[str] = []
    try:
        for overlay in OVERLAYS:
            count, complaints_of_overlay = check_overlay(overlay, schemas)
            print(f"kubernetes: {overlay}: {count} manifests for Kubernetes {OLDEST} to {NEWEST}")
            wrong += complaints_of_overlay
    except (NoKubectlError, ValueError) as error:
        wrong.append(str(error))
    if prometheus_rule.WRITTEN.read_text() != prometheus_rule.text():
        wrong.append("deploy/prometheus/rules have changed: run `python deploy/kubernetes/prometheus_rule.py`")
    for complaint in wrong:
        print(f"kubernetes: {complaint}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

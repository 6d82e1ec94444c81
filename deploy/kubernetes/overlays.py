"""`python deploy/kubernetes/overlays.py OVERLAY`: prints what kustomize makes of overlays/OVERLAY.

Needs kustomize 5, as every kubectl since 1.27 has it: KUBECTL, else the one that `make setup` puts into .venv, else the one on
the path. Debian 12's (1.20) knows no components.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

FOLDER = Path(__file__).resolve().parent
OVERLAYS = sorted(path.parent.name for path in FOLDER.glob("overlays/*/kustomization.yaml"))
_INSTALLED = Path(sys.executable).with_name("kubectl")


class NoKubectlError(Exception):
    """Rendering needs kubectl 1.27 or newer: run `make setup`, which installs one, or name yours in KUBECTL."""


def kubectl() -> str:
    found = os.environ.get("KUBECTL") or (str(_INSTALLED) if _INSTALLED.exists() else shutil.which("kubectl"))
    if found is None:
        raise NoKubectlError(NoKubectlError.__doc__)
    return found


def render(overlay: str) -> list[Manifest]:
    """What would be applied, in kustomize's order. Raises `ValueError` with kustomize's own words if it cannot be rendered."""
    command = [kubectl(), "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603  # our own files
    if done.returncode != 0 or done.stderr:  # what is deprecated is said there
        raise ValueError(f"overlays/{overlay}: {done.stderr.strip()}")
    return load_all(done.stdout)


def load_all(text: str) -> list[Manifest]:
    """By libyaml, where PyYAML has it: definitions of half a megabyte take it half a second, and seconds without."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, Loader=loader) if document]


def called(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in OVERLAYS:
        raise SystemExit(f"usage: python deploy/kubernetes/overlays.py {{{'|'.join(OVERLAYS)}}}")
    yaml.safe_dump_all(render(sys.argv[1]), sys.stdout, sort_keys=False)

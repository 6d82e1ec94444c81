"""simulated-v1: pretends to work, so that everything around a model can be built, tested and measured without one."""

import ctypes
import os
import signal
import time
from typing import Any

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engines.base import EngineFailure, GenerationRequest, GenerationResult, Output, Report
from gpu_worker.engines.minimal_glb import write_tetrahedron
from gpu_worker.engines.parameters import read_parameters

PARAMETERS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "duration_seconds": {
            "type": "number",
            "minimum": 0,
            "maximum": 86_400,
            "default": 1.0,
            "description": "How long the attempt takes.",
        },
        "steps": {
            "type": "integer",
            "minimum": 1,
            "maximum": 10_000,
            "default": 10,
            "description": "How many times progress is reported, evenly over the duration.",
        },
        "outcome": {
            "type": "string",
            "enum": ["succeed", "fail_fatal", "fail_retryable", "out_of_memory", "crash", "hang"],
            "default": "succeed",
            "description": "What happens after the last step.",
        },
        "output_bytes": {
            "type": "integer",
            "minimum": 0,
            "maximum": 1_073_741_824,
            "default": 1024,
            "description": "Size of model.glb, rounded up to a multiple of 4 and to the smallest valid file; 0 for no file.",
        },
    },
}


class SimulatedEngine:
    """Deterministic: the same parameters give the same steps, the same outcome and the same bytes."""

    def setup(self) -> None:
        """Nothing to load."""

    def generate(self, request: GenerationRequest, report: Report) -> GenerationResult:
        parameters = read_parameters(PARAMETERS_SCHEMA, request.input_params)
        _work(parameters["duration_seconds"], parameters["steps"], report)
        _meet_fate(parameters["outcome"])
        if parameters["output_bytes"] == 0:
            return GenerationResult(outputs=())
        path = request.output_dir / "model.glb"
        size = write_tetrahedron(path, parameters["output_bytes"])
        model = Output(name="model.glb", kind="model", content_type="model/gltf-binary", path=path)
        return GenerationResult(outputs=(model,), facts={"vertices": 4, "triangles": 4, "bytes": size})


def _work(duration_seconds: float, steps: int, report: Report) -> None:
    started = time.monotonic()
    for step in range(1, steps + 1):
        remaining = started + duration_seconds * step / steps - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)
        report(Stage.GENERATE, step / steps)


def _meet_fate(outcome: str) -> None:
    match outcome:
        case "fail_fatal":
            raise EngineFailure(FailureCode.ENGINE_FAILED, "simulated failure that another attempt would not cure")
        case "fail_retryable":
            raise EngineFailure(FailureCode.ENGINE_UNAVAILABLE, "simulated failure that another attempt may cure")
        case "out_of_memory":
            raise MemoryError("simulated")
        case "crash":
            os.abort()
        case "hang":
            _hang()


def _hang() -> None:
    """Hold the interpreter and ignore SIGTERM, as model code stuck in a driver call does: only SIGKILL helps."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sleep_holding_the_interpreter = ctypes.PyDLL(None).sleep  # PyDLL, unlike CDLL, does not release the GIL
    while True:
        sleep_holding_the_interpreter(3600)

"""What the worker and an engine's process say to each other: one JSON object a line, over a socket of their own.

Worker → engine: `Generate`, one at a time; closing the socket means stop; cancelling is SIGTERM.
Engine → worker: `Ready` or `Failed` once after setup; then, per `Generate`, any number of `Progressed` and one of
`Done` | `Failed`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_args

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engines.base import GenerationRequest, GenerationResult, Output, OutputKind

MAX_LINE_BYTES = 1 << 20
"""Longer lines are refused by both sides, so that neither can exhaust the other's memory."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Setup is over; attempts are welcome."""


@dataclass(frozen=True, slots=True)
class Progressed:
    stage: Stage
    fraction: float


@dataclass(frozen=True, slots=True)
class Done:
    result: GenerationResult


@dataclass(frozen=True, slots=True)
class Failed:
    code: FailureCode
    message: str


EngineMessage: TypeAlias = Ready | Progressed | Done | Failed


class MalformedLineError(ValueError):
    """The other side said something that is not in the vocabulary."""


def encode_request(request: GenerationRequest) -> bytes:
    """The line that asks for one attempt. Raises ValueError if `input_params` is not JSON or the line would be too long."""
    return _line(
        {
            "type": "generate",
            "input_params": dict(request.input_params),
            "prompt": request.prompt,
            "image": None if request.image is None else str(request.image),
            "output_dir": str(request.output_dir),
        }
    )


def decode_request(line: bytes) -> GenerationRequest:
    content = json.loads(line)
    return GenerationRequest(
        input_params=content["input_params"],
        prompt=content["prompt"],
        image=None if content["image"] is None else Path(content["image"]),
        output_dir=Path(content["output_dir"]),
    )


def encode_message(message: EngineMessage) -> bytes:
    match message:
        case Ready():
            return _line({"type": "ready"})
        case Progressed(stage, fraction):
            return _line({"type": "progress", "stage": stage.value, "fraction": fraction})
        case Done(result):
            outputs = [[o.name, o.kind, o.content_type, str(o.path)] for o in result.outputs]
            return _line({"type": "done", "outputs": outputs, "facts": dict(result.facts)})
        case Failed(code, text):
            return _line({"type": "failed", "code": code.value, "message": text[:4000]})


def decode_message(line: bytes) -> EngineMessage:
    """The message a line holds. Raises MalformedLineError, and nothing else, whatever the bytes are."""
    try:
        return _parse(json.loads(line))
    except Exception as error:  # whatever goes wrong in reading what model code may have written is its writer's fault
        raise MalformedLineError(f"{type(error).__name__}: {error}") from error


def _parse(content: Mapping[str, Any]) -> EngineMessage:
    match content["type"]:
        case "ready":
            return Ready()
        case "progress":
            return Progressed(Stage(content["stage"]), float(content["fraction"]))
        case "done":
            facts = {str(name): _number(value) for name, value in content["facts"].items()}
            return Done(GenerationResult(tuple(_parse_output(*entry) for entry in content["outputs"]), facts))
        case "failed":
            return Failed(FailureCode(content["code"]), str(content["message"]))
    raise ValueError(f"unknown message type {content['type']!r:.80}")


def _parse_output(name: str, kind: OutputKind, content_type: str, path: str) -> Output:
    if kind not in get_args(OutputKind):
        raise ValueError(f"unknown kind of output {kind!r:.80}")
    return Output(str(name), kind, str(content_type), Path(path))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a fact must be a number, not {value!r:.80}")
    return value


def _line(content: Mapping[str, Any]) -> bytes:
    line = json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"a message of {len(line)} bytes is longer than the {MAX_LINE_BYTES} allowed")
    return line

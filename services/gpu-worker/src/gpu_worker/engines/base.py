"""The one interface a model implements. Light on purpose: the worker imports it, and the worker imports no model framework."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from contracts.failures import FailureCode
from contracts.states import Stage

Report: TypeAlias = Callable[[Stage, float], None]
"""Called by the engine, from the thread that runs `generate`, with the stage it is in and the fraction of it that is done."""

OutputKind: TypeAlias = Literal["model", "preview", "log"]


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What one attempt is to make. `input_params` come merged with the model's defaults; engines check them all the same."""

    input_params: Mapping[str, Any]
    prompt: str | None
    image: Path | None
    output_dir: Path
    """An existing, empty folder of this attempt's own. Every output must lie in it."""


@dataclass(frozen=True, slots=True)
class Output:
    """One file that was made: `name` as a caller sees it (`model.glb`), `path` inside the request's `output_dir`."""

    name: str
    kind: OutputKind
    content_type: str
    path: Path


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """What was made, and numbers worth showing (vertices, triangles, texture_size, …)."""

    outputs: tuple[Output, ...]
    facts: Mapping[str, float] = field(default_factory=dict)


class EngineFailure(Exception):  # noqa: N818  an outcome of an attempt, told apart by its code
    """An attempt failed for a known reason. The message is shown to the job's owner: say what they can do about it."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Aborted(BaseException):
    """The attempt was cancelled. Not an Exception, so that model code which catches everything lets it pass."""


class Engine(Protocol):
    """A model, living in a process of its own that runs one attempt at a time.

    `setup` runs once, before the first attempt: import the framework, load the weights. `generate` runs once an attempt,
    writes its files into `request.output_dir` and reports honest progress; within a stage it never goes back. Raise
    `EngineFailure` for every fault that has a code; any other exception becomes ENGINE_FAILED, and MemoryError or the
    framework's own out-of-memory error becomes OUT_OF_MEMORY. A cancel arrives as `Aborted`, at any line: clean up if need
    be, and let it pass; the process then stays warm for the next attempt.
    """

    def setup(self) -> None: ...

    def generate(self, request: GenerationRequest, report: Report) -> GenerationResult: ...

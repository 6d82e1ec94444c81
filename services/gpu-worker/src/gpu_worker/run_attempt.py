"""The story of one attempt: fetch its input, have the engine make the model, store what it made."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from time import monotonic

import structlog

from contracts.failures import FailureCode
from contracts.ids import ModelId
from contracts.outputs import OutputFile
from contracts.states import Stage
from gpu_worker.artifacts_client import ArtifactsClient
from gpu_worker.attempt import Attempt
from gpu_worker.describe_outputs import describe_outputs
from gpu_worker.engine_pool import EnginePool
from gpu_worker.engine_process import EngineProcess
from gpu_worker.engines.base import EngineFailure, GenerationRequest, GenerationResult
from gpu_worker.failures import AttemptError
from gpu_worker.metrics import engine_idle_seconds
from gpu_worker.storage_patience import outlast
from gpu_worker.store_outputs import store_outputs
from gpu_worker.transfer import Transfer
from gpu_worker.work_folders import WorkFolder, WorkFolders
from service_kit.tracing import within

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tools:
    """What attempts work with, open as long as the worker runs."""

    pools: Mapping[ModelId, EnginePool]
    artifacts: ArtifactsClient
    transfer: Transfer
    folders: WorkFolders
    fetch_patience_seconds: float
    store_patience_seconds: float
    last_used: weakref.WeakKeyDictionary[EngineProcess, float] = field(default_factory=weakref.WeakKeyDictionary)


@dataclass(frozen=True, slots=True)
class Succeeded:
    outputs: tuple[OutputFile, ...]
    facts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Failed:
    code: FailureCode
    message: str


Outcome = Succeeded | Failed


async def run_attempt(attempt: Attempt, tools: Tools, on_generated: Callable[[], None]) -> Outcome:
    """What became of it. Never raises: whatever goes wrong ends this attempt and no other, and leaves no file behind.

    `on_generated` is called when the engine is done with it and only storing is left.
    """
    attempt.progress.leave()  # its claim is no part of its first stage
    try:
        with attempt.stoppable(), tools.folders.folder() as folder:
            image = await _fetch_input(attempt, folder, tools)
            made, log_tail = await _generate(attempt, image, folder, tools)
            on_generated()
            files = await describe_outputs(made.outputs, log_tail, folder)
            patience_seconds = tools.store_patience_seconds
            await store_outputs(attempt, files, tools.artifacts, tools.transfer, patience_seconds=patience_seconds)
            return Succeeded(tuple(files), _sound(made.facts))
    except (AttemptError, EngineFailure) as failure:
        attempt.progress.leave(failure.code)
        return Failed(failure.code, failure.message)
    except Exception as error:
        log.exception("gpu_worker.attempt.crashed")
        attempt.progress.leave(FailureCode.ENGINE_FAILED)
        return Failed(FailureCode.ENGINE_FAILED, f"the worker met an unexpected error: {type(error).__name__}")
    finally:
        attempt.progress.leave()


async def _fetch_input(attempt: Attempt, folder: WorkFolder, tools: Tools) -> Path | None:
    if attempt.task.input_object is None:
        return None
    attempt.progress.enter(Stage.DOWNLOAD)

    async def fetch() -> None:
        grant = await tools.artifacts.grant_input(attempt.task)
        await tools.transfer.download(
            grant.url, folder.input_image, lambda fraction: attempt.progress.report(Stage.DOWNLOAD, fraction)
        )

    with within(attempt.spans.stage_context()):
        await outlast("fetching the input", fetch, patience_seconds=tools.fetch_patience_seconds)
    attempt.progress.leave()
    return folder.input_image


async def _generate(
    attempt: Attempt, image: Path | None, folder: WorkFolder, tools: Tools
) -> tuple[GenerationResult, str]:
    """The result and what the engine printed. The engine is given back before anything is uploaded: it should not idle."""
    task = attempt.task
    request = GenerationRequest(task.input_params, task.prompt, image, folder.outputs)
    attempt.progress.enter(Stage.LOAD)
    async with tools.pools[task.model_id].acquire() as engine:
        attempt.progress.leave()
        _observe_idle(engine, task.model_id, tools)
        try:
            with attempt.generating(engine):
                result = await engine.generate(request, attempt.progress.report)
        finally:
            tools.last_used[engine] = monotonic()
        log_tail = engine.log_tail
    attempt.progress.leave()
    return result, log_tail


def _observe_idle(engine: EngineProcess, model_id: ModelId, tools: Tools) -> None:
    last_used = tools.last_used.get(engine)
    if last_used is not None:
        engine_idle_seconds(model_id).observe(monotonic() - last_used)


def _sound(facts: Mapping[str, float]) -> dict[str, float]:
    """Infinities and NaN have no place in JSON."""
    return {name: float(value) for name, value in facts.items() if isfinite(value)}

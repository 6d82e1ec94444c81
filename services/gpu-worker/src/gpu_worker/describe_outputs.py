"""Measures what an engine made, so that the artifacts service can check that it got the same."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from contracts.failures import FailureCode
from contracts.outputs import ArtifactKind, OutputFile
from gpu_worker.engines.base import Output
from gpu_worker.failures import AttemptError
from gpu_worker.transfer import sha256_of
from gpu_worker.work_folders import WorkFolder

_HASHED_INLINE_BYTES = 64 * 1024
"""Below this, handing the file to a thread takes longer than hashing it."""
_MAX_OUTPUTS = 15
"""The artifacts service takes 16 files; one is the engine's log."""
_LOG_NAME = "engine.log"


async def describe_outputs(outputs: Sequence[Output], log_tail: str, folder: WorkFolder) -> dict[OutputFile, Path]:
    """Every file with its size and hash, and where it lies; the engine's log among them if it printed anything.

    Raises AttemptError(ENGINE_FAILED) if there are too many, or names are not plain, lower case and different.
    """
    if len(outputs) > _MAX_OUTPUTS:
        message = f"the engine made {len(outputs)} files; at most {_MAX_OUTPUTS} can be stored"
        raise AttemptError(FailureCode.ENGINE_FAILED, message)
    names = [output.name for output in outputs]
    if len(set(names)) != len(names):
        raise AttemptError(FailureCode.ENGINE_FAILED, f"the engine gave two files the same name: {sorted(names)}")
    files = {await _describe(output): output.path for output in outputs}
    if log_tail.strip() and _LOG_NAME not in names:
        await asyncio.to_thread(folder.engine_log.write_text, log_tail, encoding="utf-8", errors="replace")
        engine_log = Output(_LOG_NAME, "log", "text/plain; charset=utf-8", folder.engine_log)
        files[await _describe(engine_log)] = folder.engine_log
    return files


async def _describe(output: Output) -> OutputFile:
    size_bytes = output.path.stat().st_size
    if size_bytes <= _HASHED_INLINE_BYTES:
        sha256 = sha256_of(output.path)
    else:
        sha256 = await asyncio.to_thread(sha256_of, output.path)
    try:
        return OutputFile(
            name=output.name,
            kind=ArtifactKind(output.kind),
            content_type=output.content_type,
            size_bytes=size_bytes,
            sha256=sha256,
        )
    except ValidationError:
        message = f"the engine named a file {output.name!r:.80}; names are lower case, such as model.glb"
        raise AttemptError(FailureCode.ENGINE_FAILED, message) from None

"""Puts an attempt's files where its job's owner can fetch them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from contracts.artifacts_api import OutputUpload
from contracts.failures import FailureCode
from contracts.outputs import OutputFile
from contracts.states import Stage
from gpu_worker.artifacts_client import ArtifactsClient
from gpu_worker.attempt import Attempt
from gpu_worker.failures import AttemptError
from gpu_worker.transfer import Transfer

_SHARE_OF_UPLOADING = 0.95
"""Of the stage; the rest is the verification."""


async def store_outputs(
    attempt: Attempt, files: Mapping[OutputFile, Path], artifacts: ArtifactsClient, transfer: Transfer
) -> None:
    """Uploads all files at once, then has them verified and registered: only then may the attempt be called a success.

    Raises AttemptError(STORAGE_UNAVAILABLE). Without files there is nothing to ask.
    """
    if not files:
        return
    attempt.progress.enter(Stage.UPLOAD)
    by_name = {file.name: file for file in files}
    grant = await artifacts.grant_outputs(attempt.task, tuple(files))
    if {target.name for target in grant.uploads} != by_name.keys():
        message = "the artifacts service granted other files than were asked for"
        raise AttemptError(FailureCode.STORAGE_UNAVAILABLE, message)
    sent = _SentBytes(attempt, total=sum(file.size_bytes for file in files))
    try:
        async with asyncio.TaskGroup() as uploads:
            for target in grant.uploads:
                file = by_name[target.name]
                uploads.create_task(_upload(target, files[file], file.size_bytes, sent, transfer))
    except* AttemptError as failures:
        raise failures.exceptions[0] from None
    await artifacts.register(attempt.task, tuple(files))
    attempt.progress.leave()


async def _upload(target: OutputUpload, path: Path, size_bytes: int, sent: "_SentBytes", transfer: Transfer) -> None:
    await transfer.upload(target, path, size_bytes, lambda byte_count: sent.reached(target.name, byte_count))


class _SentBytes:
    """Adds up how much of all files has gone out."""

    def __init__(self, attempt: Attempt, total: int) -> None:
        self._attempt = attempt
        self._total = max(1, total)
        self._by_name: dict[str, int] = {}

    def reached(self, name: str, byte_count: int) -> None:
        self._by_name[name] = byte_count
        self._attempt.progress.report(Stage.UPLOAD, _SHARE_OF_UPLOADING * sum(self._by_name.values()) / self._total)

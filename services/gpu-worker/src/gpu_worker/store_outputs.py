"""Puts an attempt's files where its job's owner can fetch them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from contracts.artifacts_api import OutputUpload
from contracts.outputs import OutputFile
from contracts.states import Stage
from gpu_worker.artifacts_client import ArtifactsClient, OutputsNotStoredError
from gpu_worker.attempt import Attempt
from gpu_worker.storage_patience import outlast
from gpu_worker.transfer import Transfer
from service_kit.crash_points import crash_point
from service_kit.tracing import within

_SHARE_OF_UPLOADING = 0.95
"""Of the stage; the rest is the verification."""


async def store_outputs(
    attempt: Attempt,
    files: Mapping[OutputFile, Path],
    artifacts: ArtifactsClient,
    transfer: Transfer,
    *,
    patience_seconds: float,
) -> None:
    """Uploads all files at once, then has them verified and registered: only then may the attempt be called a success.

    Raises AttemptError(STORAGE_UNAVAILABLE), if storage was away for all its patience or refuses. Without files there is nothing
    to ask.
    """
    if not files:
        return
    attempt.progress.enter(Stage.UPLOAD)
    storing = _Storing(attempt, files, artifacts, transfer)
    with within(attempt.spans.stage_context()):
        await outlast("storing the outputs", storing.go_on, patience_seconds=patience_seconds)
    attempt.progress.leave()


class _Storing:
    """Remembers which files are up, so that each try goes on where the last one ended, with new URLs."""

    def __init__(
        self, attempt: Attempt, files: Mapping[OutputFile, Path], artifacts: ArtifactsClient, transfer: Transfer
    ) -> None:
        self._attempt = attempt
        self._files = files
        self._artifacts = artifacts
        self._transfer = transfer
        self._missing = dict.fromkeys(files)
        self._sent_bytes = dict.fromkeys(files, 0)
        self._total_bytes = max(1, sum(file.size_bytes for file in files))

    async def go_on(self) -> None:
        if self._missing:
            await self._upload_missing()
        crash_point("gpu_worker.after_upload_before_register")
        try:
            await self._artifacts.register(self._attempt.task, tuple(self._files))
        except OutputsNotStoredError:
            self._missing = dict.fromkeys(self._files)
            raise
        crash_point("gpu_worker.after_register_before_report")

    async def _upload_missing(self) -> None:
        grant = await self._artifacts.grant_outputs(self._attempt.task, tuple(self._missing))
        by_name = {file.name: file for file in self._missing}
        uploads = [self._upload(by_name[target.name], target) for target in grant.uploads]
        # All are waited for: one that fails is no reason to send the others again.
        for failure in await asyncio.gather(*uploads, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _upload(self, file: OutputFile, target: OutputUpload) -> None:
        def on_bytes(byte_count: int) -> None:
            self._sent_bytes[file] = byte_count
            fraction = sum(self._sent_bytes.values()) / self._total_bytes
            self._attempt.progress.report(Stage.UPLOAD, _SHARE_OF_UPLOADING * fraction)

        await self._transfer.upload(target, self._files[file], file.size_bytes, on_bytes)
        del self._missing[file]

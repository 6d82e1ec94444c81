"""A worker has uploaded its attempt's outputs: verify them, then put them on the register."""

import asyncio
from collections.abc import Sequence

from artifacts.attempt_outputs import check_outputs
from artifacts.errors import attempt_lost, output_already_registered, output_mismatch, output_missing
from artifacts.metrics import OUTPUT_VERIFY_SECONDS, REGISTERED_ARTIFACTS
from artifacts.object_names import output_name
from artifacts.object_store import ObjectStore, StoredObject
from artifacts.store import RegisteredFile, Store
from contracts.artifacts_api import Registration, RegistrationRequest
from contracts.ids import ObjectName
from contracts.outputs import OutputFile
from service_kit.batcher import Batcher
from service_kit.crash_points import crash_point

_MAX_BATCH = 200

Registrar = Batcher[Sequence[RegisteredFile], Sequence[RegisteredFile | None]]
"""Requests of the same moment share one statement. Answers what is then on the register for each file."""


def open_registrar(store: Store) -> Registrar:
    async def register(batch: list[Sequence[RegisteredFile]]) -> list[list[RegisteredFile | None]]:
        registered = await store.register_outputs([file for files in batch for file in files])
        return [[registered.get(file.key) for file in files] for files in batch]

    return Batcher(register, max_batch=_MAX_BATCH)


async def register_outputs(request: RegistrationRequest, *, objects: ObjectStore, registrar: Registrar) -> Registration:
    """Registers all outputs, or raises a `Problem`. Idempotent.

    Returning means: each is stored with the size, type and SHA-256 the worker says, is so registered, and stays so. A name that
    an attempt has registered never comes to mean other content: where two workers run the same attempt, one of them is refused.
    """
    check_outputs(request.outputs)
    named = [(output_name(request.job_id, request.attempt_id, output), output) for output in request.outputs]
    # All are waited for, so that nothing goes on reading after the answer; the first that failed, in order, is the answer.
    for failure in await asyncio.gather(*(_verify(*each, objects) for each in named), return_exceptions=True):
        if failure is not None:
            raise failure
    files = [
        RegisteredFile(
            job_id=request.job_id,
            attempt_id=request.attempt_id,
            name=output.name,
            kind=output.kind,
            content_type=output.content_type,
            size_bytes=output.size_bytes,
            sha256=output.sha256,
            object_name=object_name,
            user_id=request.user_id,
        )
        for object_name, output in named
    ]
    crash_point("artifacts.after_verify_before_register")
    for file, registered in zip(files, await registrar.submit(files), strict=True):
        if registered is None:
            raise attempt_lost()
        if registered != file:
            raise output_already_registered(file.name)
        REGISTERED_ARTIFACTS.labels(kind=file.kind.value).inc()
    crash_point("artifacts.after_register_before_answer")
    return Registration(registered=tuple(output.name for output in request.outputs))


async def _verify(object_name: ObjectName, output: OutputFile, objects: ObjectStore) -> None:
    claimed = StoredObject(output.size_bytes, output.content_type)
    with OUTPUT_VERIFY_SECONDS.time():
        found = await objects.sha256(object_name, expected=claimed)
    if found is None:
        raise output_missing(output.name)
    stored, sha256 = found
    if stored.size_bytes != claimed.size_bytes:
        raise output_mismatch(output.name, "size", stored.size_bytes, claimed.size_bytes)
    if stored.content_type != claimed.content_type:
        raise output_mismatch(output.name, "content type", stored.content_type, claimed.content_type)
    if sha256 != output.sha256:
        raise output_mismatch(output.name, "SHA-256", sha256, output.sha256)

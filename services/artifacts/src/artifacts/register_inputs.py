"""Jobs were accepted: put their input files on the register."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from artifacts.metrics import REGISTERED_ARTIFACTS
from artifacts.object_names import names_upload_of
from artifacts.object_store import ObjectStore
from artifacts.store import RegisteredFile, Store, Upload
from contracts.ids import JobId, ObjectName, UserId
from contracts.jobs import JobSpec
from contracts.outputs import ArtifactKind
from service_kit.crash_points import crash_point
from service_kit.tracing import within

log = structlog.get_logger()


async def register_inputs(
    jobs: Sequence[JobSpec], *, traces: Mapping[JobId, str | None], store: Store, objects: ObjectStore
) -> None:
    """Registers the input of each job that has one, which from now on is kept as long as the job. Idempotent.

    An object that is not an upload of the job's user, or that is gone, is left out and logged: what the job is worth without it
    is for its worker to find out.
    """
    asked = [
        (job.job_id, job.user_id, job.input_object)
        for job in jobs
        if job.input_object is not None and names_upload_of(job.user_id, job.input_object)
    ]
    uploads = await _owned(asked, store)
    found = await asyncio.gather(
        *(_described(job_id, uploads.get(name), objects, traces.get(job_id)) for job_id, _, name in asked)
    )
    files = [file for file in found if file is not None]
    registered = await store.register_inputs(files) if files else set()
    crash_point("artifacts.after_register_inputs_before_ack")
    REGISTERED_ARTIFACTS.labels(kind=ArtifactKind.INPUT.value).inc(len(registered))
    for job in jobs:
        if job.input_object is not None and job.job_id not in registered:
            log.warning("artifacts.input.not_found", job_id=str(job.job_id), user_id=str(job.user_id))


async def _owned(asked: Sequence[tuple[JobId, UserId, ObjectName]], store: Store) -> dict[ObjectName, Upload]:
    """An object's name contains its owner, so one name cannot stand for two owners' uploads."""
    if not asked:
        return {}
    uploads = await store.find_uploads([(user_id, object_name) for _, user_id, object_name in asked])
    return {upload.object_name: upload for upload in uploads}


async def _described(
    job_id: JobId, upload: Upload | None, objects: ObjectStore, trace: str | None
) -> RegisteredFile | None:
    with within(trace):
        stored = None if upload is None else await objects.head(upload.object_name)
    if upload is None or stored is None:
        return None
    return RegisteredFile(
        job_id=job_id,
        attempt_id=None,
        name=upload.label,
        kind=ArtifactKind.INPUT,
        content_type=stored.content_type,
        size_bytes=stored.size_bytes,
        sha256=None,
        object_name=upload.object_name,
        user_id=upload.user_id,
    )

"""Which files does a job have?"""

from artifacts.signed_urls import SignedUrls
from artifacts.store import Store
from contracts.artifacts_api import Artifact, JobArtifacts, JobArtifactsRequest


async def list_job_artifacts(request: JobArtifactsRequest, *, store: Store, urls: SignedUrls) -> JobArtifacts:
    """The job's input and the winning attempt's outputs, each with a download URL; empty if they are another user's."""
    files = await store.files_of(request.job_id, request.user_id, request.attempt_id)
    return JobArtifacts(
        artifacts=tuple(
            Artifact(
                name=file.name,
                kind=file.kind,
                content_type=file.content_type,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                url=urls.to_get(file.object_name, filename=file.name),
                expires_in=urls.ttl_seconds,
            )
            for file in files
        )
    )

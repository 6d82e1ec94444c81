"""GET /jobs/{id}/download: the 3D model that the winning attempt made."""

from contracts.artifacts_api import Artifact
from contracts.outputs import ArtifactKind
from contracts.states import JobStatus
from gateway.artifacts_client import ArtifactsClient
from gateway.job_view import JobView
from service_kit.problems import Problem

_NOT_FINISHED = {
    JobStatus.QUEUED: "The job still waits for its turn; ask again when its status is SUCCEEDED.",
    JobStatus.RUNNING: "The job is still running; ask again when its status is SUCCEEDED.",
    JobStatus.FAILED: "The job failed, so there is nothing to download; its `error` says why.",
    JobStatus.CANCELLED: "The job was cancelled, so there is nothing to download.",
}


async def download_job(artifacts: ArtifactsClient, view: JobView) -> Artifact:
    """The model file with its presigned URL. Raises 400 unless the job succeeded, 404 if it made no model."""
    if view.status is not JobStatus.SUCCEEDED:
        raise Problem(400, "not_finished", _NOT_FINISHED[view.status])
    for artifact in await artifacts.job_artifacts(view.id, view.user_id, view.winning_attempt_id):
        if artifact.kind is ArtifactKind.MODEL:
            return artifact
    raise Problem(404, "file_not_found", "The job succeeded, but there is no model file of it (any more).")

"""/jobs/{id}/…: what a job left behind: its log, its files."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from contracts.artifacts_api import Artifact
from gateway.artifacts_client import ArtifactsClient
from gateway.download_job import download_job
from gateway.read_jobs import ReadJobs
from gateway.routers import API_PREFIX
from gateway.routers.answers import json_answer, problems
from gateway.routers.caller import caller
from gateway.routers.parameters import JobIdInPath
from gateway.routers.schemas import ArtifactList, Download, EventList
from gateway.store.job_views import JobViewReader


def job_results_router(*, read_jobs: ReadJobs, views: JobViewReader, artifacts: ArtifactsClient) -> APIRouter:
    router = APIRouter(prefix=API_PREFIX, tags=["results"])

    @router.get(
        "/jobs/{job_id}/download",
        response_model=Download,
        responses=problems(400, 403, 404),
        summary="Get a link to the 3D model",
        operation_id="get_job_download",
    )
    async def get_download(request: Request, job_id: JobIdInPath) -> Response:
        """A presigned URL, valid for one hour, of the file that the winning attempt made."""
        model = await download_job(artifacts, await read_jobs.owned(caller(request), job_id))
        return json_answer({"download_url": model.url, "expires_in": model.expires_in})

    @router.get(
        "/jobs/{job_id}/events",
        response_model=EventList,
        responses=problems(403, 404, 422),
        summary="Read a job's log",
        operation_id="get_job_events",
    )
    async def get_events(
        request: Request,
        job_id: JobIdInPath,
        after_seq: Annotated[int, Query(ge=0, le=2**31 - 1, description="Only events after this one.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    ) -> Response:
        view = await read_jobs.owned(caller(request), job_id)
        return json_answer({"events": await views.events(view.id, after_seq=after_seq, limit=limit)})

    @router.get(
        "/jobs/{job_id}/artifacts",
        response_model=ArtifactList,
        responses=problems(403, 404),
        summary="List a job's files",
        operation_id="get_job_artifacts",
    )
    async def get_artifacts(request: Request, job_id: JobIdInPath) -> Response:
        """The input, and what the winning attempt made, each with a presigned URL."""
        view = await read_jobs.owned(caller(request), job_id)
        found = await artifacts.job_artifacts(view.id, view.user_id, view.winning_attempt_id)
        return json_answer({"artifacts": [_shown(artifact) for artifact in found]})

    return router


def _shown(artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "kind": artifact.kind,
        "content_type": artifact.content_type,
        "bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "url": artifact.url,
        "expires_in": artifact.expires_in,
    }

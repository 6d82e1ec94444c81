"""/jobs: list and cancel. (Creating and reading one is in `hot_routes`.)"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import Response

from contracts.states import JobStatus
from gateway.cancel_job import CancelJob
from gateway.list_jobs import list_jobs
from gateway.present_jobs import PresentJobs
from gateway.read_jobs import ReadJobs
from gateway.routers import API_PREFIX
from gateway.routers.answers import Responses, json_answer, problems
from gateway.routers.caller import caller
from gateway.routers.parameters import JobIdInPath
from gateway.routers.schemas import Job, JobPage
from gateway.store.job_views import JobViewReader

_WAS_OVER: Responses = {200: {"model": Job, "description": "The job was over already."}}
NoValue = SkipJsonSchema[None]
"""A query has no null: what is not asked for is left out."""
ModelFilter = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")] | NoValue


def jobs_router(
    *,
    read_jobs: ReadJobs,
    present_jobs: PresentJobs,
    views: JobViewReader,
    cancel_job: CancelJob,
) -> APIRouter:
    router = APIRouter(prefix=API_PREFIX, tags=["jobs"])

    @router.get(
        "/jobs",
        response_model=JobPage,
        responses=problems(422),
        summary="List your jobs, newest first",
        operation_id="list_jobs",
    )
    async def get_jobs(
        request: Request,
        status: JobStatus | NoValue = None,
        model_id: ModelFilter = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | NoValue, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        page = await list_jobs(views, caller(request), cursor=cursor, status=status, model_id=model_id, limit=limit)
        return json_answer({"jobs": await present_jobs.many(page.views), "next_cursor": page.next_cursor})

    @router.post(
        "/jobs/{job_id}/cancel",
        status_code=202,
        response_model=Job,
        responses=_WAS_OVER | problems(403, 404),
        summary="Cancel a job",
        operation_id="cancel_job",
    )
    async def post_cancel(request: Request, job_id: JobIdInPath) -> Response:
        """Asks for it. A queued job is CANCELLED at once, a running one when its worker has let go."""
        view = await read_jobs.owned(caller(request), job_id)
        asked = await cancel_job(view)
        return json_answer(await present_jobs.one(view, cancel_requested=asked), status=202 if asked else 200)

    return router

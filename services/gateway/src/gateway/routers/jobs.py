"""/jobs: list and cancel. (Creating and reading one is in `hot_routes`.)"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from contracts.states import JobStatus
from gateway.cancel_job import cancel_job
from gateway.list_jobs import list_jobs
from gateway.present_jobs import PresentJobs
from gateway.read_jobs import ReadJobs
from gateway.routers import API_PREFIX
from gateway.routers.answers import Responses, json_answer, problems
from gateway.routers.caller import caller
from gateway.routers.schemas import Job, JobPage
from gateway.store.job_views import JobViewReader
from service_kit.bus import Bus

_WAS_OVER: Responses = {200: {"model": Job, "description": "The job was over already."}}
ModelFilter = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


def jobs_router(
    *,
    read_jobs: ReadJobs,
    present_jobs: PresentJobs,
    views: JobViewReader,
    bus: Bus,
) -> APIRouter:
    router = APIRouter(prefix=API_PREFIX, tags=["jobs"])

    @router.get("/jobs", response_model=JobPage, responses=problems(422), summary="List your jobs, newest first")
    async def get_jobs(
        request: Request,
        status: JobStatus | None = None,
        model_id: ModelFilter = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        page = await list_jobs(views, caller(request), cursor=cursor, status=status, model_id=model_id, limit=limit)
        return json_answer({"jobs": await present_jobs.many(page.views), "next_cursor": page.next_cursor})

    @router.post(
        "/jobs/{job_id}/cancel",
        status_code=202,
        response_model=Job,
        responses=_WAS_OVER | problems(403, 404),
        summary="Cancel a job",
    )
    async def post_cancel(request: Request, job_id: str) -> Response:
        """Asks for it. A queued job is CANCELLED at once, a running one when its worker has let go."""
        view = await read_jobs.owned(caller(request), job_id)
        asked = await cancel_job(bus, view)
        return json_answer(await present_jobs.one(view, cancel_requested=asked), status=202 if asked else 200)

    return router

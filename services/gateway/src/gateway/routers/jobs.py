"""/jobs: create, list, cancel. (Reading one is in `polled_job`.)"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from contracts.states import JobStatus
from gateway.cancel_job import cancel_job
from gateway.create_job import CreateJob
from gateway.list_jobs import list_jobs
from gateway.present_jobs import PresentJobs
from gateway.read_jobs import ReadJobs
from gateway.request_body import JobBody, read_body
from gateway.routers.answers import Responses, json_answer, problems
from gateway.routers.caller import caller
from gateway.routers.schemas import Job, JobPage
from gateway.store.job_views import JobViewReader
from service_kit.bus import Bus

# Bodies are read by `read_body`, which is stricter than FastAPI's reader; here they are only described.
_JOB_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": JobBody.model_json_schema()}}}
}
_REPLAYED: Responses = {
    200: {
        "model": Job,
        "description": "The job that this Idempotency-Key made before.",
        "headers": {"Idempotent-Replayed": {"schema": {"type": "string", "enum": ["true"]}}},
    }
}
_WAS_OVER: Responses = {200: {"model": Job, "description": "The job was over already."}}
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="1 to 255 visible ASCII characters. The same key with the same body makes one job, however often."
    ),
]
ModelFilter = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


def jobs_router(
    *,
    create_job: CreateJob,
    read_jobs: ReadJobs,
    present_jobs: PresentJobs,
    views: JobViewReader,
    bus: Bus,
    max_json_depth: int,
) -> APIRouter:
    router = APIRouter(tags=["jobs"])

    @router.post(
        "/jobs",
        status_code=201,
        response_model=Job,
        responses=_REPLAYED | problems(409, 413, 422),
        openapi_extra=_JOB_BODY,
        summary="Create a job",
    )
    async def post_job(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        """Returns at once; poll the job, or read its events. Once this answers 201, the job will not be lost."""
        body = read_body(JobBody, await request.body(), max_depth=max_json_depth)
        created = await create_job(caller(request), body, idempotency_key)
        if created.replayed:
            return json_answer(await present_jobs.one(created.view), headers={"Idempotent-Replayed": "true"})
        return json_answer(present_jobs.new(created.view), status=201)

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

"""POST /jobs and GET /jobs/{id}: the routes every job takes and every front end polls, and so the ones that have to be cheap.

Measured: of 0.58 ms CPU a GET, FastAPI's nested routers and its dependency solver took half. So these routes stand on the app
itself, before the others, and run their endpoints directly; FastAPI only describes them. They ask for the API key themselves,
as the dependency they declare says.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from gateway.authenticate import Authenticate
from gateway.create_job import CreateJob
from gateway.present_jobs import PresentJobs
from gateway.read_jobs import ReadJobs
from gateway.request_body import JobBody, read_body
from gateway.routers import API_PREFIX, UPLOAD_TICKET
from gateway.routers.answers import Responses, json_answer, problems
from gateway.routers.caller import requires_api_key
from gateway.routers.parameters import JobIdInPath
from gateway.routers.schemas import Job

_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
    "description": "1 to 255 visible ASCII characters. The same key with the same body makes one job, however often.",
}
_REPLAYED: Responses = {
    200: {
        "model": Job,
        "description": "The job that this Idempotency-Key made before.",
        "headers": {"Idempotent-Replayed": {"required": True, "schema": {"type": "string", "enum": ["true"]}}},
    }
}


def add_hot_routes(
    router: APIRouter,
    *,
    authenticate: Authenticate,
    create_job: CreateJob,
    read_jobs: ReadJobs,
    present_jobs: PresentJobs,
    max_json_depth: int,
    max_prompt_characters: int,
) -> None:
    """Adds the routes to the app's own router."""

    async def post_job(request: Request) -> Response:
        """Returns at once; poll the job, or read its events. Once this answers 201, the job will not be lost."""
        user = await authenticate(request.headers.get("x-api-key"))
        body = read_body(JobBody, await request.body(), max_depth=max_json_depth)
        created = await create_job(user, body, request.headers.get("idempotency-key"))
        if created.replayed:
            return json_answer(await present_jobs.one(created.view), headers={"Idempotent-Replayed": "true"})
        return json_answer(present_jobs.new(created.view), status=201)

    async def get_job(request: Request, job_id: JobIdInPath) -> Response:
        """Made to be polled, every 2 s or so."""
        user = await authenticate(request.headers.get("x-api-key"))
        if job_id == UPLOAD_TICKET:
            raise HTTPException(405)  # a path of its own, and not the job of that name
        return json_answer(await present_jobs.one(await read_jobs.owned(user, job_id)))

    described: dict[str, Any] = {
        "tags": ["jobs"],
        "response_model": Job,
        "dependencies": [requires_api_key(authenticate)],
        "route_class_override": _DirectRoute,
    }
    router.add_api_route(
        API_PREFIX + "/jobs",
        post_job,
        methods=["POST"],
        status_code=201,
        responses=_REPLAYED | problems(409, 422),
        openapi_extra={"parameters": [_IDEMPOTENCY_KEY], "requestBody": _described_body(max_prompt_characters)},
        summary="Create a job",
        operation_id="create_job",
        **described,
    )
    router.add_api_route(
        API_PREFIX + "/jobs/{job_id}",
        get_job,
        methods=["GET"],
        responses=problems(403, 404),
        summary="Read a job",
        operation_id="get_job",
        **described,
    )


def _described_body(max_prompt_characters: int) -> dict[str, Any]:
    schema = JobBody.model_json_schema()
    schema["properties"]["prompt"]["maxLength"] = max_prompt_characters
    return {"required": True, "content": {"application/json": {"schema": schema}}}


class _DirectRoute(APIRoute):
    """Calls an endpoint that takes the request and the path's parameters, and nothing that would have to be solved."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            response: Response = await endpoint(request, **request.path_params)
            return response

        return handle

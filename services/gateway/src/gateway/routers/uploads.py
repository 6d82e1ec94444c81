"""/jobs/upload-ticket: permission to put one file into storage."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.artifacts_client import ArtifactsClient
from gateway.request_body import UploadTicketBody, read_body
from gateway.routers import API_PREFIX, UPLOAD_TICKET
from gateway.routers.answers import json_answer, problems
from gateway.routers.caller import caller
from gateway.routers.schemas import UploadTicketView

_TICKET_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": UploadTicketBody.model_json_schema()}}}
}


def uploads_router(*, artifacts: ArtifactsClient, max_json_depth: int) -> APIRouter:
    router = APIRouter(prefix=API_PREFIX, tags=["uploads"])

    @router.post(
        f"/jobs/{UPLOAD_TICKET}",
        status_code=201,
        response_model=UploadTicketView,
        responses=problems(422),
        openapi_extra=_TICKET_BODY,
        summary="Get a ticket to upload an image",
        operation_id="create_upload_ticket",
    )
    async def post_upload_ticket(request: Request) -> Response:
        """PUT the bytes straight to storage with it; the API itself takes no files."""
        body = read_body(UploadTicketBody, await request.body(), max_depth=max_json_depth)
        ticket = await artifacts.upload_ticket(caller(request).id, body.filename, body.content_type)
        return json_answer(ticket, status=201)

    return router

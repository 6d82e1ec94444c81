"""Answers as bytes, and how errors look in the API's description."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import Response

from service_kit.problems import PROBLEM_JSON

Responses: TypeAlias = dict[int | str, dict[str, Any]]


def json_answer(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Written by pydantic-core, without the validation and the copy that a `response_model` costs."""
    return Response(to_json(body), status_code=status, headers=headers, media_type="application/json")


class FieldError(BaseModel):
    pointer: Annotated[str, Field(description="JSON Pointer (RFC 6901) to the field.", examples=["/prompt"])]
    location: Annotated[
        Literal["query"] | None, Field(alias="in", description="Where the field is, if not in the body.")
    ] = None
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457. Switch on `code`; show `detail`; quote `request_id` when you ask for help."""

    type: Annotated[str, Field(examples=["urn:pipeline3d:problem:invalid_parameter"])]
    code: Annotated[str, Field(examples=["invalid_parameter"])]
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] | None = None


_SAID: dict[int, tuple[str, str, str]] = {
    400: (
        "The job has not succeeded.",
        "not_finished",
        "The job is still running; ask again when its status is SUCCEEDED.",
    ),
    401: ("The API key is missing, unknown or revoked.", "unauthorized", "Send your API key in the x-api-key header."),
    403: ("The job is somebody else's.", "not_your_job", "This job belongs to somebody else."),
    404: ("There is no such thing.", "job_not_found", "There is no job with this id."),
    409: (
        "The idempotency key was used with another body.",
        "idempotency_key_reused",
        "This Idempotency-Key was used before, with another body. Use a new key for a new job.",
    ),
    413: ("The body is too large.", "body_too_large", "The body is larger than 65536 bytes."),
    422: (
        "The request is malformed, or does not suit the model; `errors` points to the field.",
        "invalid_parameter",
        "/input_params/texture_resolution: 9 is less than the minimum of 256",
    ),
    503: ("Nothing was done; try again after `Retry-After` seconds.", "unavailable", "Try again shortly."),
}


_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "RFC 9110.", "required": True, "schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}},
}


def problems(*statuses: int) -> Responses:
    """The `responses` of a route that can fail so, besides 401, 413 and 503, which any can."""
    return {status: _described(status) for status in sorted({*statuses, 401, 413, 503})}


def _described(status: int) -> dict[str, Any]:
    description, code, detail = _SAID[status]
    example = {
        "type": f"urn:pipeline3d:problem:{code}",
        "code": code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": "4be0b2a4e5d14f4c8d5f0a7f6f2f8f11",
    }
    content = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "example": example}
    described: dict[str, Any] = {"description": description, "content": {PROBLEM_JSON: content}}
    if headers := _HEADERS.get(status):
        described["headers"] = headers
    return described

"""The API's description, completed with what is said of every route at once."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from gateway.routers.answers import ProblemDetails

TITLE = "Pipeline 3D"
_DESCRIPTION = """\
From an image or a sentence to a textured 3D model. Ask for an upload ticket, PUT the image, create a job, watch it, download
the GLB. Every route needs the header `x-api-key`; with and without a trailing slash it is the same route. Every error is
`application/problem+json` (RFC 9457) with a stable `code`. A method that a path does not offer gets 405 with `Allow`.
"""
_NO_LONGER_SAID = ("HTTPValidationError", "ValidationError")
"""FastAPI's own error bodies: ours are problems."""
_REQUEST_ID = {
    "description": "The request's own X-Request-Id, or a new one. Quote it when you ask for help.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
}
_OF_A_JOB = ("get_job", "cancel_job", "get_job_events", "get_job_artifacts", "get_job_download")


_LINKS: dict[str, dict[str, Any]] = {
    "Job": {
        operation: {"operationId": operation, "parameters": {"job_id": "$response.body#/id"}} for operation in _OF_A_JOB
    },
    "JobPage": {"next_page": {"operationId": "list_jobs", "parameters": {"cursor": "$response.body#/next_cursor"}}},
}
"""By the schema that is answered."""


def describe(app: FastAPI) -> None:
    """Makes `app.openapi()` answer the whole description, built once."""
    app.description = _DESCRIPTION
    build = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(build())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the description


def _completed(description: dict[str, Any]) -> dict[str, Any]:
    components = description.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _NO_LONGER_SAID:
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"ProblemDetails": problem}
    components["headers"] = {"X-Request-Id": _REQUEST_ID}
    for responses in _all_responses(description):
        if "HTTPValidationError" in str(responses.get("422", {})):
            del responses["422"]
        for response in responses.values():
            response.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/X-Request-Id"}
            if links := _LINKS.get(_schema_of(response)):
                response["links"] = links
    return description


def _all_responses(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in description["paths"].values():
        for operation in operations.values():
            yield operation["responses"]


def _schema_of(response: dict[str, Any]) -> str:
    content = response.get("content", {}).get("application/json", {})
    return str(content.get("schema", {}).get("$ref", "")).rpartition("/")[-1]

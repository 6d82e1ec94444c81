"""The API's description, completed with what is said of every route at once."""

from typing import Any

from fastapi import FastAPI

from gateway.routers.answers import ProblemDetails

TITLE = "Pipeline 3D"
_DESCRIPTION = """\
From an image or a sentence to a textured 3D model. Ask for an upload ticket, PUT the image, create a job, watch it, download
the GLB. Every route needs the header `x-api-key`; with and without a trailing slash it is the same route. Every error is
`application/problem+json` (RFC 9457) with a stable `code`.
"""
_NO_LONGER_SAID = ("HTTPValidationError", "ValidationError")
"""FastAPI's own error bodies: ours are problems."""


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
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for name in _NO_LONGER_SAID:
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"ProblemDetails": problem}
    for operations in description["paths"].values():
        for operation in operations.values():
            validation = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(validation):
                del operation["responses"]["422"]
    return description

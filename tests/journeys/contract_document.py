"""The API's description, with what only one installation can know written into it, so that it can be tested to the letter.

The document cannot say which models there are, which images were uploaded or which jobs exist: it says where to ask. Here the
answers take the place of the advice, and a request that the document allows is one that must be accepted.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Installation:
    models: Iterable[Mapping[str, Any]]
    """As GET /models answers, those that jobs are made for."""
    image: str
    """The object name of an image that was uploaded."""
    request: Mapping[str, Any]
    """The body of a POST /jobs that was answered, and with which Idempotency-Key."""
    key_of_request: str
    jobs: Mapping[str, str]
    """Ids of jobs that exist, by what is special about each."""
    cursor: str
    """Of the second page of the owner's jobs."""


def document_of(installation: Installation, document: dict[str, Any]) -> dict[str, Any]:
    """A copy that says of each model what it takes, has examples that exist, and lets no answer have a field it does not name."""
    document = copy.deepcopy(document)
    body = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    body["schema"] = {"oneOf": [_body_for(model, installation, body["schema"]) for model in installation.models]}
    body["example"] = installation.request
    for parameter in _parameters(document):
        match parameter["name"]:
            case "Idempotency-Key":
                parameter["example"] = installation.key_of_request
            case "job_id":
                parameter["examples"] = {name: {"value": job_id} for name, job_id in installation.jobs.items()}
            case "cursor":
                parameter["schema"] = {"type": "string", "enum": [installation.cursor]}
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


def _body_for(model: Mapping[str, Any], installation: Installation, body: dict[str, Any]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    input_params = copy.deepcopy(model["parameters_schema"])
    if "image_path" in input_params["properties"]:
        input_params["properties"]["image_path"] = {"type": "string", "enum": [installation.image]}
    properties = body["properties"]
    properties["model_id"] = {"type": "string", "enum": [model["id"]]}
    properties["input_params"] = input_params
    if model["kind"] == "text-to-3d":
        properties["prompt"] |= {"type": "string", "pattern": r"^[^\u0000]*\S[^\u0000]*$"}
        body["required"] = [*body["required"], "prompt"]
    return body


def _parameters(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            yield from operation.get("parameters", [])

"""Reads a JSON body so that no input gets further than a 422: depth, numbers and characters are checked before anything else."""

import math
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from contracts.artifacts_api import ImageType
from contracts.jobs import JobPolicy, TimeoutSeconds
from contracts.message import JsonObject
from service_kit.problems import Problem

_LARGEST_INTEGER = 2**63 - 1
_NO_NULL_CHARACTER = {"pattern": "^[^\\u0000]*$"}
"""For the description; `_check_storable` refuses it in every text of a body."""


class RequestBody(BaseModel):
    """Strict and closed: a misspelt field is an error, not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class JobBody(RequestBody):
    """What to make, and from what."""

    model_id: Annotated[str, Field(max_length=200, examples=["silhouette-v1"])]
    input_params: Annotated[JsonObject, Field(examples=[{"image_path": "uploads/…", "texture_resolution": 1024}])]
    """Valid against the model's `parameters_schema`; what is left out takes the model's default."""
    prompt: Annotated[
        str | None, Field(description="Required by text models.", json_schema_extra=_NO_NULL_CHARACTER)
    ] = None
    queue_timeout_seconds: Annotated[
        TimeoutSeconds | None,
        Field(description="Fail the job if it waits longer. Can only shorten the model's own limit."),
    ] = None
    execution_timeout_seconds: Annotated[
        TimeoutSeconds | None,
        Field(description="Stop an attempt that runs longer. Can only shorten the model's own limit."),
    ] = None

    def lowered(self, policy: JobPolicy) -> JobPolicy:
        """The model's policy, made less patient where the caller asked for it; never more patient."""
        waits = [limit for limit in (policy.queue_timeout_seconds, self.queue_timeout_seconds) if limit is not None]
        runs = [policy.execution_timeout_seconds, self.execution_timeout_seconds or math.inf]
        return policy.model_copy(
            update={"queue_timeout_seconds": min(waits, default=None), "execution_timeout_seconds": min(runs)}
        )


class UploadTicketBody(RequestBody):
    """A label for the file, and what it is."""

    filename: Annotated[
        str, Field(min_length=1, max_length=255, examples=["chair.png"], json_schema_extra=_NO_NULL_CHARACTER)
    ]
    content_type: Annotated[
        str, Field(min_length=1, max_length=100, examples=["image/png"], json_schema_extra={"enum": [*ImageType]})
    ]
    """The artifacts service says no to another one."""


B = TypeVar("B", bound=RequestBody)


def read_body(body_type: type[B], body: bytes, *, max_depth: int) -> B:
    """The body as `body_type`. Raises a 422 problem that points to the field."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(422, "invalid_json", f"The body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem(422, "invalid_request", "The body must be a JSON object.", pointer="")
    _check_storable(value, max_depth)
    try:
        return body_type.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        pointer = json_pointer(first["loc"])
        raise Problem(422, "invalid_request", f"{pointer}: {first['msg']}", pointer=pointer) from None


def json_pointer(path: tuple[int | str, ...] | list[int | str]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _check_storable(value: JsonObject, max_depth: int) -> None:
    """Refuses what jsonb, or another service's JSON reader, could not take. Iterative: the depth is the caller's choice."""
    waiting: list[tuple[Any, tuple[int | str, ...]]] = [(value, ())]
    while waiting:
        item, path = waiting.pop()
        match item:
            case dict():
                for key in item:
                    _check_text(key, path)
                children = [(child, (*path, key)) for key, child in item.items()]
            case list():
                children = [(child, (*path, index)) for index, child in enumerate(item)]
            case str():
                _check_text(item, path)
                continue
            case _:
                _check_number(item, path)
                continue
        if len(path) >= max_depth:
            detail = f"The body is nested deeper than {max_depth} levels."
            raise Problem(422, "too_deep", detail, pointer=json_pointer(path[:3]))
        waiting += children


def _check_text(text: str, path: tuple[int | str, ...]) -> None:
    if "\0" in text:
        raise Problem(422, "invalid_text", "Text must not contain the null character.", pointer=json_pointer(path))


def _check_number(value: object, path: tuple[int | str, ...]) -> None:
    too_large = (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and abs(value) > _LARGEST_INTEGER
    )
    if too_large:
        raise Problem(422, "number_too_large", "The number is too large.", pointer=json_pointer(path))

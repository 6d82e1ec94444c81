"""The models on offer, and whether a request suits the one it names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

from contracts.ids import ModelId, ObjectName
from contracts.jobs import JobPolicy
from contracts.message import JsonObject
from gateway.request_body import JobBody, json_pointer
from service_kit.problems import Problem

IMAGE_PARAMETER = "image_path"
_LONGEST_COMPLAINT = 300


class ModelKind(StrEnum):
    """What a model makes its 3D model from."""

    IMAGE_TO_3D = "image-to-3d"
    TEXT_TO_3D = "text-to-3d"
    SIMULATED = "simulated"
    """From nothing: for development, tests and measurements."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One model as the catalogue's table has it."""

    id: ModelId
    name: str
    kind: ModelKind
    parameters_schema: JsonObject
    """JSON Schema, Draft 2020-12, of `input_params`."""
    defaults: JsonObject
    policy: JobPolicy
    retired: bool = False


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """A request that suits its model: everything a job needs to know of it."""

    entry: CatalogueEntry
    input_params: JsonObject
    """Merged with the defaults, valid against the schema."""
    prompt: str | None
    input_object: ObjectName | None
    policy: JobPolicy


class Catalogue:
    """A snapshot of the catalogue with every schema compiled. Raises ValueError if a schema is none."""

    def __init__(self, entries: Iterable[CatalogueEntry]) -> None:
        self.entries: Mapping[str, CatalogueEntry] = {entry.id: entry for entry in entries}
        self._validators = {
            entry.id: Draft202012Validator(entry.parameters_schema, offline=True) for entry in self.entries.values()
        }

    def accept(self, body: JobBody, *, max_prompt_characters: int) -> WorkOrder:
        """The work order for a request. Raises a 422 problem that points to what does not suit."""
        entry = self._offered(body.model_id)
        prompt = _checked_prompt(entry, body.prompt, max_prompt_characters)
        if entry.kind is ModelKind.IMAGE_TO_3D and not body.input_params.get(IMAGE_PARAMETER):
            detail = f"{entry.id} makes its model from an image: upload one with an upload ticket and name it here."
            raise Problem(422, "image_required", detail, pointer=f"/input_params/{IMAGE_PARAMETER}")
        input_params = entry.defaults | body.input_params
        try:
            self._validators[entry.id].validate(input_params)
        except ValidationError as error:
            raise _refused(error) from None
        image = input_params[IMAGE_PARAMETER] if entry.kind is ModelKind.IMAGE_TO_3D else None
        return WorkOrder(entry, input_params, prompt, image, body.lowered(entry.policy))

    def _offered(self, model_id: str) -> CatalogueEntry:
        entry = self.entries.get(model_id)
        if entry is None:
            detail = f"There is no model {model_id!r}; GET /api/v1/models lists those there are."
            raise Problem(422, "unknown_model", detail, pointer="/model_id")
        if entry.retired:
            detail = f"The model {model_id!r} is no longer offered; GET /api/v1/models lists those that are."
            raise Problem(422, "retired_model", detail, pointer="/model_id")
        return entry


def _checked_prompt(entry: CatalogueEntry, prompt: str | None, max_characters: int) -> str | None:
    if entry.kind is ModelKind.TEXT_TO_3D and not (prompt and prompt.strip()):
        detail = f"{entry.id} makes its model from a sentence: say in `prompt` what to make."
        raise Problem(422, "prompt_required", detail, pointer="/prompt")
    if prompt is not None and len(prompt) > max_characters:
        detail = f"The prompt has {len(prompt)} characters; at most {max_characters} are accepted."
        raise Problem(422, "prompt_too_long", detail, pointer="/prompt")
    return prompt


def _refused(error: ValidationError) -> Problem:
    """A missing or unknown parameter is pointed at by its own name, not by the object that lacks or has it."""
    path = list(error.instance_path)
    match error.kind:
        case ValidationErrorKind.AdditionalProperties(unexpected=[first, *_]):
            path.append(first)
            complaint = "the model has no such parameter"
        case ValidationErrorKind.Required(property=missing):
            path.append(missing)
            complaint = "this parameter is required"
        case _:
            complaint = error.message
    pointer = "/input_params" + json_pointer(path)
    return Problem(422, "invalid_parameter", f"{pointer}: {complaint[:_LONGEST_COMPLAINT]}", pointer=pointer)

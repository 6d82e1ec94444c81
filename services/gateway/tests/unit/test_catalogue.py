import jsonschema
import pytest

from contracts.ids import ModelId
from contracts.jobs import JobPolicy
from gateway.catalogue import Catalogue, CatalogueEntry, ModelKind
from gateway.initial_data import seed_models
from gateway.request_body import JobBody
from service_kit.problems import Problem

SEEDS = {entry.id: entry for entry in seed_models()}


@pytest.mark.parametrize("entry", SEEDS.values(), ids=list(SEEDS))
def test_seeded_model_accepts_its_own_defaults_and_no_unknown_parameter(entry: CatalogueEntry) -> None:
    jsonschema.Draft202012Validator.check_schema(entry.parameters_schema)
    params = {"image_path": "uploads/x"} if entry.kind is ModelKind.IMAGE_TO_3D else {}
    body = JobBody(model_id=entry.id, input_params=params, prompt="a chair")
    order = Catalogue([entry]).accept(body, max_prompt_characters=100)
    assert order.input_params == entry.defaults | params
    assert order.input_object == params.get("image_path")
    with pytest.raises(Problem) as refused:
        Catalogue([entry]).accept(
            body.model_copy(update={"input_params": {**params, "x": 1}}), max_prompt_characters=100
        )
    assert refused.value.pointer == "/input_params/x"


def test_every_described_parameter_of_a_seeded_model_has_a_default() -> None:
    for entry in SEEDS.values():
        assert entry.parameters_schema["properties"].keys() - {"image_path"} == entry.defaults.keys()


@pytest.mark.parametrize("entry", SEEDS.values(), ids=list(SEEDS))
def test_schema_of_a_seeded_model_allows_no_text_that_no_body_may_contain(entry: CatalogueEntry) -> None:
    free_texts = {
        name: schema
        for name, schema in entry.parameters_schema["properties"].items()
        if schema["type"] == "string" and "enum" not in schema and name != "image_path"
    }
    for schema in free_texts.values():
        jsonschema.validate("a\n\u2028", schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate("a\0", schema)


def test_missing_parameter_is_pointed_at_by_its_own_name() -> None:
    entry = CatalogueEntry(
        ModelId("m"), "M", ModelKind.SIMULATED, {"required": ["steps"]}, defaults={}, policy=JobPolicy()
    )
    with pytest.raises(Problem) as refused:
        Catalogue([entry]).accept(JobBody(model_id="m", input_params={}), max_prompt_characters=100)
    assert (refused.value.status, refused.value.pointer) == (422, "/input_params/steps")


@pytest.mark.parametrize("count", [-1, 500, 50_000])
def test_silhouettes_vertex_count_may_be_automatic_or_sensible(count: int) -> None:
    body = JobBody(model_id="silhouette-v1", input_params={"image_path": "x", "vertex_count": count})
    order = Catalogue(SEEDS.values()).accept(body, max_prompt_characters=1)
    assert order.input_params["vertex_count"] == count


def test_broken_schema_is_an_error_and_not_a_catalogue_that_accepts_everything() -> None:
    entry = CatalogueEntry(ModelId("m"), "M", ModelKind.SIMULATED, {"type": "objekt"}, {}, JobPolicy())
    with pytest.raises(ValueError, match="objekt"):
        Catalogue([entry])


def test_schema_cannot_make_the_gateway_fetch_another_document() -> None:
    schema = {"$ref": "http://169.254.169.254/schema"}
    with pytest.raises(ValueError, match=r".+"):
        Catalogue([CatalogueEntry(ModelId("m"), "M", ModelKind.SIMULATED, schema, {}, JobPolicy())])

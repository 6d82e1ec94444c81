import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.failures import FailureCode
from gpu_worker.engines import simulated
from gpu_worker.engines.base import EngineFailure
from gpu_worker.engines.parameters import read_parameters
from gpu_worker.engines.silhouette.parameters import PARAMETERS_SCHEMA

SCHEMAS = {"silhouette-v1": PARAMETERS_SCHEMA, "simulated-v1": simulated.PARAMETERS_SCHEMA}
RULES = [
    pytest.param(schema, name, id=f"{engine}-{name}")
    for engine, schema in SCHEMAS.items()
    for name in schema["properties"]
]
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 3000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0, 3),
    st.text(max_size=5),
    st.sampled_from(["none", "triangle", "succeed", "hang"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_the_published_schema_is_a_schema_and_its_defaults_fit(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    defaults = read_parameters(schema, {})
    jsonschema.validate(defaults, schema)
    assert defaults == {name: rules["default"] for name, rules in schema["properties"].items()}


@pytest.mark.parametrize(("schema", "name"), RULES)
@settings(deadline=None)
@given(value=ANYTHING)
def test_it_accepts_what_json_schema_accepts_and_nothing_else(schema, name, value):
    if jsonschema.Draft202012Validator(schema).is_valid({name: value}):
        assert read_parameters(schema, {name: value})[name] == value
        return
    with pytest.raises(EngineFailure, match=f"^{name} must be ") as caught:
        read_parameters(schema, {name: value})
    assert caught.value.code is FailureCode.INVALID_PARAMETER


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_know_are_refused(value):
    with pytest.raises(EngineFailure):
        read_parameters(simulated.PARAMETERS_SCHEMA, {"duration_seconds": value})


def test_an_integer_written_with_a_point_is_an_integer():
    steps = read_parameters(simulated.PARAMETERS_SCHEMA, {"steps": 3.0})["steps"]
    assert isinstance(steps, int)


def test_names_the_schema_does_not_know_are_left_out():
    assert "image_path" not in read_parameters(PARAMETERS_SCHEMA, {"image_path": "uploads/photo.jpg"})


def test_the_message_says_what_would_have_been_right():
    with pytest.raises(EngineFailure, match="vertex_count must be -1 or at least 500, not 12"):
        read_parameters(PARAMETERS_SCHEMA, {"vertex_count": 12})

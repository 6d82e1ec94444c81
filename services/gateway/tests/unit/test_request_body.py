from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from contracts.jobs import JobPolicy
from gateway.request_body import JobBody, json_pointer, read_body
from service_kit.problems import Problem

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(
    st.binary()
    | ANY_JSON.map(to_json)
    | st.fixed_dictionaries({"model_id": ANY_JSON, "input_params": ANY_JSON}).map(to_json)
)
def test_any_bytes_are_a_body_or_a_problem_of_the_caller(body: bytes) -> None:
    try:
        read: JobBody | Problem = read_body(JobBody, body, max_depth=32)
    except Problem as problem:
        read = problem
    assert isinstance(read, JobBody) or read.status == 422


@pytest.mark.parametrize("levels", [30, 31])
def test_depth_is_counted_from_the_bodys_own_braces(levels: int) -> None:
    params: Any = {}
    for _ in range(levels - 1):
        params = {"a": params}
    body = to_json({"model_id": "m", "input_params": params})
    if levels == 31:
        assert read_body(JobBody, body, max_depth=32).model_id == "m"
        with pytest.raises(Problem, match="deeper than 31"):
            read_body(JobBody, body, max_depth=31)
    else:
        assert read_body(JobBody, body, max_depth=31).model_id == "m"


def test_pointer_escapes_what_would_be_taken_for_structure() -> None:
    assert json_pointer(("a/b", "c~d", 0)) == "/a~1b/c~0d/0"
    assert json_pointer(()) == ""


@pytest.mark.parametrize(
    ("asked", "models", "expected"), [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7)]
)
def test_limits_can_only_be_shortened(asked: float | None, models: float | None, expected: float | None) -> None:
    body = JobBody(model_id="m", input_params={}, queue_timeout_seconds=asked, execution_timeout_seconds=asked)
    policy = body.lowered(JobPolicy(queue_timeout_seconds=models, execution_timeout_seconds=models or 100))
    assert policy.queue_timeout_seconds == expected
    assert policy.execution_timeout_seconds == min(asked or 100, models or 100)

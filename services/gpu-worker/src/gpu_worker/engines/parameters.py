"""Reads `input_params` against the JSON Schema that the catalogue publishes for an engine.

The gateway has validated them already, with a full JSON Schema library; this second look costs no import and guards an
engine against a catalogue that is older or newer than itself. It knows exactly the keywords our flat schemas use.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from contracts.failures import FailureCode
from gpu_worker.engines.base import EngineFailure

_ANNOTATIONS = frozenset({"title", "description", "default", "examples"})


def read_parameters(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The schema's parameters, each from `given` or else its default. Names the schema does not know are left out.

    Raises EngineFailure(INVALID_PARAMETER) naming the first parameter that does not fit.
    """
    return {name: _read(name, rules, given) for name, rules in schema["properties"].items()}


def _read(name: str, rules: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    value = given.get(name, rules["default"])
    complaint = _complaint(rules, value)
    if complaint:
        raise EngineFailure(FailureCode.INVALID_PARAMETER, f"{name} must be {complaint}, not {value!r:.80}")
    return int(value) if rules.get("type") == "integer" else value


def _complaint(rules: Mapping[str, Any], value: Any) -> str | None:
    """What `value` would have to be and is not, or None if it fits."""
    for keyword, expected in rules.items():
        if keyword in _ANNOTATIONS:
            continue
        if keyword == "anyOf":
            complaints = [_complaint(option, value) for option in expected]
            if None not in complaints:
                return " or ".join(filter(None, complaints))
        elif not _KEYWORDS[keyword](expected, value):
            return _WORDING[keyword].format(expected=expected)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _has_type(expected: str, value: Any) -> bool:
    match expected:
        case "integer":
            return _is_number(value) and value == math.floor(value)
        case "number":
            return _is_number(value)
        case "string":
            return isinstance(value, str)
    raise NotImplementedError(f"JSON Schema type {expected!r} is not used by our engines")


_KEYWORDS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _has_type,
    "enum": lambda expected, value: value in expected,
    "const": lambda expected, value: bool(value == expected),
    "minimum": lambda expected, value: not _is_number(value) or value >= expected,
    "maximum": lambda expected, value: not _is_number(value) or value <= expected,
}
_WORDING = {
    "type": "of type {expected}",
    "enum": "one of {expected}",
    "const": "{expected}",
    "minimum": "at least {expected}",
    "maximum": "at most {expected}",
}

"""What Schemathesis loads to keep the jobs that it makes cheap. Nothing valid becomes invalid here, nor the other way round."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import schemathesis

_CONFLICTS_OF_A_KEY = 3
_SHORTEST_EXECUTION_SECONDS = 60.0
_CHEAP: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    "duration_seconds": (lambda value: _is_number(value) and 0 <= value <= 86400, lambda _: 0),
    "steps": (lambda value: _is_whole(value) and 1 <= value <= 10000, lambda steps: min(steps, 3)),
    "output_bytes": (lambda value: _is_whole(value) and 0 <= value <= 104857600, lambda size: min(size, 10_000)),
    # Each of these has the job tried again and again, or never end by itself.
    "outcome": (lambda value: value in ("fail_retryable", "out_of_memory", "crash", "hang"), lambda _: "fail_fatal"),
}
"""Of the simulated model: for what is valid, something valid that takes no time."""

_conflicts: Counter[str] = Counter()


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case, **_request: Any) -> None:
    if case.method == "POST" and case.path == "/api/v1/jobs":
        _spare_the_worker(case.body)
        _leave_worn_key_out(case.headers)


@schemathesis.hook
def after_call(_context: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response) -> None:
    if response.status_code == 409:
        _conflicts[case.headers["Idempotency-Key"]] += 1


def _spare_the_worker(body: Any) -> None:
    if not isinstance(body, dict):
        return
    timeout = body.get("execution_timeout_seconds")
    if _is_number(timeout) and 0 < timeout < _SHORTEST_EXECUTION_SECONDS:
        body["execution_timeout_seconds"] = _SHORTEST_EXECUTION_SECONDS
    params = body.get("input_params")
    if body.get("model_id") == "simulated-v1" and isinstance(params, dict):
        params.setdefault("duration_seconds", 0)
        for name, (is_valid, cheaper) in _CHEAP.items():
            if name in params and is_valid(params[name]):
                params[name] = cheaper(params[name])


def _leave_worn_key_out(headers: Any) -> None:
    """One key goes with nearly every body of the coverage phase: after some conflicts it would only hide what the bodies do."""
    if _conflicts[headers.get("Idempotency-Key", "")] >= _CONFLICTS_OF_A_KEY:
        del headers["Idempotency-Key"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value == value // 1

"""No story that can happen to jobs breaks a promise; and were the lifecycle mistaken, a story would show it.

`LIFECYCLE_EXAMPLES=5000` tells that many stories instead of a few, and others each time; `-s` shows how often what was reached.
"""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test
from services.orchestrator.tests.unit.lifecycle_model.machine import LifecycleMachine, Tally
from services.orchestrator.tests.unit.lifecycle_model.mistakes import MISTAKES, Mistake

from orchestrator.decision import Verdict

_DEEP = int(os.environ.get("LIFECYCLE_EXAMPLES", "0"))

some_stories = settings(
    max_examples=_DEEP or 100,
    stateful_step_count=50,
    derandomize=not _DEEP,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
until_one_goes_wrong = settings(
    some_stories,
    max_examples=2000,
    derandomize=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    verbosity=Verbosity.quiet,
)


def tell(stories: settings, tally: Tally) -> None:
    run_state_machine_as_test(
        lambda: LifecycleMachine(tally),  # type: ignore[arg-type]  # a factory will do, as its docstring says
        settings=stories,
    )


def test_no_story_breaks_a_promise() -> None:
    tally: Tally = Counter()
    tell(some_stories, tally)
    for (message, verdict), times in sorted(tally.items()):
        print(f"{message:20} {verdict:12} {times:7}")
    assert {verdict for _, verdict in tally} == set(Verdict), "the stories are too tame"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_lifecycle_with_this_mistake_is_found_out(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    with pytest.raises(AssertionError):
        tell(until_one_goes_wrong, Counter())

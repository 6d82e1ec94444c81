"""The table of log events is made of the source: what it could not see there, it refuses."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from gateway import log_events as of_the_gateway

PROGRAM = Path(__file__).parents[2] / "deploy" / "log_events.py"


@pytest.fixture(scope="module")
def log_events() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("log_events_under_test", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def test_every_event_of_the_code_has_a_meaning_and_every_meaning_an_event(log_events: ModuleType) -> None:
    page = log_events.log_events_page()
    for package in log_events.PACKAGES.values():
        for name, meaning in package.MEANINGS.items():
            assert f"| `{name}` |" in page
            assert meaning.endswith(".")


@pytest.mark.parametrize(
    ("call", "name", "level", "fields"),
    [
        ('log.info("a.b.c")', "a.b.c", "info", []),
        ('self._log.warning("a.b.c", queue=q, error=repr(e))', "a.b.c", "warning", ["queue", "error"]),
        ('_log.exception("a.b.c", loop=1)', "a.b.c", "error", ["loop", "exception"]),
        ('log.error("a.b.c", exc_info=error)', "a.b.c", "error", ["exception"]),
        ('log.info("a.b.c", **ids_of([event]), **more)', "a.b.c", "info", ["job_id", "attempt_id", "left_out"]),
        (
            'def f():\n  x = {"one": 1}\n  x["two"] = 2\n  return x\nlog.info("a.b.c", **f())',
            "a.b.c",
            "info",
            ["one", "two"],
        ),
    ],
)
def test_name_level_and_fields_are_read_off_a_call(
    log_events: ModuleType, call: str, name: str, level: str, fields: list[str]
) -> None:
    assert list(log_events.calls_in(call, "here.py")) == [(name, level, fields)]


def test_one_of_two_names_is_two_events(log_events: ModuleType) -> None:
    calls = log_events.calls_in('log.error("a.b.kept" if kept else "a.b.dropped")', "here.py")
    assert [name for name, _, _ in calls] == ["a.b.kept", "a.b.dropped"]


@pytest.mark.parametrize(
    "call",
    [
        'log.info(f"a.b.{c}")',
        "log.info(name)",
        'log.info("a.b." + c)',
        'log.info("a.b.c %s", c)',
        "log.info()",
        'line = log.info if good else log.warning\nline("a.b.c")',
        'log.info("a.b.c", **anything)',
        'log.info("a.b.c", **elsewhere())',
    ],
)
def test_what_is_put_together_when_it_runs_is_refused_with_its_place(log_events: ModuleType, call: str) -> None:
    with pytest.raises(log_events.LogEventError, match=r"here\.py:\d"):
        list(log_events.calls_in(call, "here.py"))


@pytest.mark.parametrize(
    "name", ["gateway.job", "gateway.job.not.shown", "Gateway.job.shown", "orchestrator.job.shown"]
)
def test_a_name_that_is_not_the_services_noun_and_verb_is_refused(log_events: ModuleType, name: str) -> None:
    with pytest.raises(log_events.LogEventError, match="named"):
        log_events._check_name(name, "gateway")


def test_an_event_without_a_meaning_is_asked_for_by_name(
    log_events: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(of_the_gateway.MEANINGS, "gateway.job.refused")
    with pytest.raises(log_events.LogEventError, match=r"say in gateway\.log_events what gateway\.job\.refused means"):
        log_events.log_events_page()


def test_a_meaning_of_nothing_is_to_be_removed(log_events: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(of_the_gateway.MEANINGS, "gateway.job.forgotten", "It was.")
    with pytest.raises(log_events.LogEventError, match=r"nothing writes gateway\.job\.forgotten"):
        log_events.log_events_page()

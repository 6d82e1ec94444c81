"""`specs/log-events.md`: every line that our code can write, found in its source, with the meaning its package gives it.

Raises where the two differ, where a name is not a plain text in its place, and where it is not `<service>.<noun>.<verb>`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import analytics.log_events
import artifacts.log_events
import gateway.log_events
import gpu_worker.log_events
import orchestrator.log_events
import service_kit.log_events

PACKAGES = {
    "Every service": service_kit.log_events,
    "gateway": gateway.log_events,
    "orchestrator": orchestrator.log_events,
    "gpu-worker": gpu_worker.log_events,
    "artifacts": artifacts.log_events,
    "analytics": analytics.log_events,
}
_LEVELS = {name: name for name in ("debug", "info", "warning", "error", "critical")} | {"exception": "error"}
_LOGGERS = {"log", "_log"}
_NAME = re.compile(r"[a-z_]+\.[a-z_]+\.[a-z_]+")
_UNPACKED = {"ids_of": ["job_id", "attempt_id"], "more": ["left_out"]}
"""Fields of what is unpacked into a call: a function of the service kit, and a variable that is named for it."""
_PREAMBLE = """\
# Log events

Generated from the code; `make specs` writes it anew. How lines look, which fields all of them have, and how to follow one job
through them is in [the guide](../docs/guides/logging.md).

A warning or an error that repeats itself is written ten times and then once in five seconds, by its event and, where it has one,
its queue, loop, model, route or status; `left_out` counts the lines in between. Lines of libraries (aio-pika, asyncio, uvicorn,
Alembic) have the same form, with `logger`; their `event` is free text.
"""


class LogEventError(Exception):
    """What is wrong with a log call or with its meaning, in a sentence."""


@dataclass
class Event:
    levels: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    def add(self, level: str, fields: list[str]) -> None:
        self.levels += [level] if level not in self.levels else []
        self.fields += [name for name in fields if name not in self.fields]


def log_events_page() -> str:
    return "\n".join([_PREAMBLE, *(_section(title, package) for title, package in PACKAGES.items())])


def events_of(package: ModuleType) -> dict[str, Event]:
    """Every event in the source of the package that has this module, by its name."""
    assert package.__file__ is not None
    events: dict[str, Event] = defaultdict(Event)
    root = Path(package.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for name, level, fields in calls_in(path.read_text(), str(path.relative_to(root.parent))):
            _check_name(name, root.name)
            events[name].add(level, fields)
    return dict(sorted(events.items()))


def calls_in(source: str, where: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name, level and fields of every log call. A logger's method that is not called where it stands is refused: what is
    called later cannot be found."""
    tree = ast.parse(source)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    called = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_log_method(node.func):
            called.add(node.func)
            level = _LEVELS[node.func.attr]
            fields = [*_fields(node, functions, where), *(["exception"] if node.func.attr == "exception" else [])]
            for name in _names(node, where):
                yield name, level, fields
        elif isinstance(node, ast.Attribute) and _is_log_method(node) and node not in called:
            raise LogEventError(f"{where}:{node.lineno}: call `{ast.unparse(node)}` where its event is named")


def _is_log_method(node: ast.Attribute) -> bool:
    owner = node.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return name in _LOGGERS and node.attr in _LEVELS


def _names(call: ast.Call, where: str) -> list[str]:
    match call.args:
        case [ast.Constant(value=str(name))]:
            return [name]
        case [ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other)))]:
            return [one, other]
    raise LogEventError(f"{where}:{call.lineno}: the event's name must be a plain text, and all else fields")


def _fields(call: ast.Call, functions: dict[str, ast.FunctionDef], where: str) -> list[str]:
    fields: list[str] = []
    for keyword in call.keywords:
        if keyword.arg is not None:
            fields.append("exception" if keyword.arg == "exc_info" else keyword.arg)
            continue
        unpacked = keyword.value.func if isinstance(keyword.value, ast.Call) else keyword.value
        name = unpacked.id if isinstance(unpacked, ast.Name) else ""
        if name in functions:
            fields += _keys_made_in(functions[name])
        elif name in _UNPACKED:
            fields += _UNPACKED[name]
        else:
            raise LogEventError(f"{where}:{call.lineno}: nobody can see which fields `{ast.unparse(keyword)}` adds")
    return fields


def _keys_made_in(function: ast.FunctionDef) -> list[str]:
    nodes = list(ast.walk(function))
    written = [key for node in nodes if isinstance(node, ast.Dict) for key in node.keys]
    added = [node.slice for node in nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)]
    keys = [key.value for key in (*written, *added) if isinstance(key, ast.Constant)]
    return [key for key in keys if isinstance(key, str)]


def _check_name(name: str, package: str) -> None:
    of_service = name.partition(".")[0] in {module.__name__.partition(".")[0] for module in PACKAGES.values()}
    if not _NAME.fullmatch(name) or (of_service and not name.startswith(f"{package}.")):
        raise LogEventError(f"{name!r} in {package}: events are named <service>.<noun>.<verb>, in lower case")
    if not of_service and package != "service_kit":
        raise LogEventError(f"{name!r} in {package}: a service's events begin with its name")


def _section(title: str, package: ModuleType) -> str:
    events, meanings = events_of(package), package.MEANINGS
    if missing := events.keys() - meanings:
        raise LogEventError(f"say in {package.__name__} what {', '.join(sorted(missing))} means")
    if stale := meanings.keys() - events:
        raise LogEventError(f"nothing writes {', '.join(sorted(stale))} any more: remove it from {package.__name__}")
    lines = [f"## {title}", "", "| event | level | fields | meaning |", "|---|---|---|---|"]
    for name, event in events.items():
        fields = ", ".join(f"`{field}`" for field in event.fields) or "–"
        lines.append(f"| `{name}` | {', '.join(event.levels)} | {fields} | {meanings[name]} |")
    return "\n".join([*lines, ""])

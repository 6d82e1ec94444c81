"""What a trace is, in words that a test can compare: who did what under what, and what failed."""

from collections.abc import Iterable, Sequence

from devstack.otlp.received_span import ReceivedSpan
from devstack.otlp.trace_tree import Node, trees

_INDENT = "  "


def outline(spans: Sequence[ReceivedSpan], *, without: Iterable[str] = ()) -> list[str]:
    """A line for each span: `service KIND name`, with ` ! error`, under its parent's. Siblings are in the order of their lines:
    which began first is a matter of microseconds. `without` are names of spans that may or may not be there."""
    left_out = set(without)
    spans = _that_changed_something(spans)
    return [line for tree in sorted(map(_lines, trees(spans), [left_out] * len(spans))) for line in tree]


def _that_changed_something(spans: Sequence[ReceivedSpan]) -> list[ReceivedSpan]:
    """Without what was said again and was known already: a heartbeat repeats an abort, and the worker then its outcome."""
    known = {span.parent_id for span in spans if span.attributes.get("p3d.verdict", "applied") != "applied"}
    return [span for span in spans if not known & {span.span_id, span.parent_id}]


def written(text: str) -> list[str]:
    """An outline as a test has it, in any order of siblings."""
    lines = [line for line in text.splitlines() if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    roots: list[_Line] = []
    under: list[_Line] = []
    for line in lines:
        depth = (len(line) - len(line.lstrip()) - margin) // len(_INDENT)
        entry = _Line(line.strip())
        (under[depth - 1].children if depth else roots).append(entry)
        under[depth:] = [entry]
    return [line for root in sorted(entry.lines() for entry in roots) for line in root]


class _Line:
    def __init__(self, text: str) -> None:
        self.text = text
        self.children: list[_Line] = []

    def lines(self) -> list[str]:
        below = sorted(child.lines() for child in self.children)
        return [self.text, *(_INDENT + line for lines in below for line in lines)]


def _lines(node: Node, left_out: set[str]) -> list[str]:
    span = node.span
    error = f" ! {span.error}" if span.error is not None else ""
    children = [child for child in node.children if child.span.name not in left_out]
    below = sorted(_lines(child, left_out) for child in children)
    text = f"{span.service.removeprefix('p3d-')} {span.kind} {span.name}{error}"
    return [text, *(_INDENT + line for lines in below for line in lines)]

"""A trace as a tree of lines."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devstack.otlp.received_span import ReceivedSpan


@dataclass(frozen=True)
class Node:
    span: ReceivedSpan
    children: tuple["Node", ...]

    def walk(self) -> Iterator[ReceivedSpan]:
        yield self.span
        for child in self.children:
            yield from child.walk()


def trees(spans: Sequence[ReceivedSpan]) -> list[Node]:
    """The spans of one trace under their parents, in the order in which they began. More than one root: it is not connected."""
    known = {span.span_id for span in spans}
    children: dict[str, list[ReceivedSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.started_ns, -span.ended_ns)):
        children[span.parent_id if span.parent_id in known else ""].append(span)

    def node(span: ReceivedSpan) -> Node:
        return Node(span, tuple(map(node, children[span.span_id])))

    return [node(span) for span in children[""]]


def lines(root: Node, others: Sequence[ReceivedSpan] = ()) -> Iterator[str]:
    """The tree as text: when each span began, in milliseconds after the first, how long it took, and what it links to.

    `others` are spans of other traces, by which links can be named.
    """
    named = {span.span_id: span for span in (*others, *root.walk())}
    yield from _lines(root, "", "", root.span.started_ns, named)


def _lines(node: Node, first: str, rest: str, epoch_ns: int, named: dict[str, ReceivedSpan]) -> Iterator[str]:
    span = node.span
    links = [f"{named[linked].service} {named[linked].name}" for _, linked in span.links if linked in named]
    remarks = [f"ERROR {span.error}"] if span.error is not None else []
    remarks += [f"↔ {link}" for link in links[:3]]
    began_ms = (span.started_ns - epoch_ns) / 1e6
    title = f"{first}{span.service.removeprefix('p3d-')}: {span.name}"
    yield f"{began_ms:8.1f} {span.duration_ms:8.1f}  {title}{'   ' if remarks else ''}{', '.join(remarks)}"
    for child in node.children:
        last = child is node.children[-1]
        yield from _lines(
            child, f"{rest}{'└─ ' if last else '├─ '}", f"{rest}{'   ' if last else '│  '}", epoch_ns, named
        )

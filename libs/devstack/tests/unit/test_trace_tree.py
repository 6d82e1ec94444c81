"""A trace as it is printed."""

from devstack.otlp.received_span import ReceivedSpan
from devstack.otlp.trace_tree import lines, trees


def span(
    name: str,
    parent: str = "",
    *,
    began_ms: float = 0,
    took_ms: float = 1,
    links: tuple[tuple[str, str], ...] = (),
    error: str | None = None,
) -> ReceivedSpan:
    began_ns = int(began_ms * 1e6)
    return ReceivedSpan(
        trace_id="t",
        span_id=name,
        parent_id=parent,
        name=name,
        kind="INTERNAL",
        service="p3d-worker",
        resource={},
        started_ns=began_ns,
        ended_ns=began_ns + int(took_ms * 1e6),
        attributes={},
        links=links,
        error=error,
    )


def test_each_span_stands_under_its_parent_in_the_order_of_time_with_what_it_links_to_and_how_it_failed() -> None:
    spans = [
        span("late", "root", began_ms=7, error="engine_crashed"),
        span("inner", "early", began_ms=2),
        span("early", "root", began_ms=1.5, took_ms=20, links=(("o", "other"),)),
        span("root", took_ms=9),
    ]
    (tree,) = trees(spans)
    assert list(lines(tree, [span("other")])) == [
        "     0.0      9.0  worker: root",
        "     1.5     20.0  ├─ worker: early   ↔ p3d-worker other",
        "     2.0      1.0  │  └─ worker: inner",
        "     7.0      1.0  └─ worker: late   ERROR engine_crashed",
    ]


def test_a_span_whose_parent_is_missing_is_a_tree_of_its_own() -> None:
    roots = trees([span("root"), span("lost", "nobody", began_ms=1)])
    assert [root.span.name for root in roots] == ["root", "lost"]

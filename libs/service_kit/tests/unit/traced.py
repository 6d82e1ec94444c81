"""Spans as tests see them: kept in a list instead of sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from service_kit.tracing.spans import FinishedSpan, use_recorder


class KeptSpans(list[FinishedSpan]):
    """Samples what it is told to."""

    def __init__(self, *, sampling: bool = True) -> None:
        super().__init__()
        self.sampling = sampling

    def put(self, span: FinishedSpan) -> None:
        self.append(span)

    def samples(self, parent: str | None, context: str, name: str) -> bool:  # noqa: ARG002  # told once for all
        return self.sampling

    @property
    def names(self) -> list[str]:
        return [span.operation.name for span in self]


@contextmanager
def kept_spans(*, sampling: bool = True) -> Iterator[KeptSpans]:
    kept = KeptSpans(sampling=sampling)
    use_recorder(kept)
    try:
        yield kept
    finally:
        use_recorder(None)

"""`specs/metrics.md`: every metric of every service, from the objects that count and their help texts."""

from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from prometheus_client.metrics import Histogram, MetricWrapperBase

import artifacts.metrics
import gateway.metrics
import gpu_worker.metrics
import orchestrator.metrics
import service_kit.metrics

_SERVICES = {
    "Every service": service_kit.metrics,
    "gateway": gateway.metrics,
    "orchestrator": orchestrator.metrics,
    "gpu-worker": gpu_worker.metrics,
    "artifacts": artifacts.metrics,
}
_PREAMBLE = """\
# Metrics

Generated from the code; `make specs` writes it anew.

Every process has them at `/metrics`, in Prometheus' text format, beside `process_*` and `python_*` of the client library. Whoever
can reach a service can read them, unless `METRICS_TOKEN` is set: then they take `Authorization: Bearer <token>`. They hold
no names, ids or contents of jobs and users; still, block `/metrics` at the ingress, where it has no business.

- `model` is a model of the catalogue, `queue` a queue of [topology.md](topology.md), `route` a path as the code has it, and
  `code` a failure code of the contracts: no label holds what a caller wrote.
- Counters and histograms are of one process: `sum` them. The census of the orchestrator (marked *) is of the whole system, the
  same in each replica: `max by (…)` it. A census that cannot be taken for a few intervals removes its gauges, so that nothing
  old is shown for true; `p3d_census_age_seconds` says how old it is. A model without a job and without a worker has no series.
- A labelled counter begins to exist with its first count, at 1: `increase` does not see that one. What must not be missed has a
  gauge beside it (`p3d_dead_letters_waiting`), or begins at 0 with its process (`p3d_loop_failures_total`,
  `p3d_bus_deliveries_total`).
- Changes are counted once they are committed. A commit whose answer was lost counts nothing: counters may miss a few, never count
  one twice.
"""


class _Row(NamedTuple):
    name: str
    kind: str
    labels: str
    meaning: str


def metrics_page() -> str:
    sections = [_section(service, module) for service, module in _SERVICES.items()]
    return "\n".join([_PREAMBLE, *sections])


def _section(service: str, module: ModuleType) -> str:
    head = [f"## {service}", "", "| metric | type | labels | meaning |", "|---|---|---|---|"]
    rows = [f"| {row.name} | {row.kind} | {row.labels} | {row.meaning} |" for row in _rows(module)]
    return "\n".join([*head, *rows, ""])


def _rows(module: ModuleType) -> Iterator[_Row]:
    census = getattr(module, "CENSUS", ())
    for metric in vars(module).values():
        if not isinstance(metric, MetricWrapperBase):
            continue
        (family,) = metric.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        # Private, for the library tells labels and buckets only with a sample, and there is none yet.
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        kind = family.type + (f", {_range(metric)}" if isinstance(metric, Histogram) else "")
        yield _Row(f"`{name}`" + ("*" if metric in census else ""), kind, labels or "–", family.documentation)


def _range(histogram: Histogram) -> str:
    bounds = histogram._kwargs["buckets"]
    return f"{bounds[0]:g} … {bounds[-1]:g}"

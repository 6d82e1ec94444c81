"""What every service counts, and the page it is read from.

Labels are few and bounded: names from the code, models from the catalogue; never a path, an id or what a caller wrote. `specs/`
lists every metric with its help text, which therefore says what each label can be.
"""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from contracts.topology import Queue, QueueKind

# A second series beside every counter and histogram, with the time of its first count.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has types for everything else

BUILD_INFO = Gauge(
    "p3d_build_info", "Always 1; which version of which service this process is.", ["service", "version"]
)

HTTP_REQUEST_SECONDS = Histogram(
    "p3d_http_request_seconds",
    "Time to answer a request, by its route as written in the code (`unknown`: no route) and its status (0: none was sent).",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)

BUS_CONNECTED = Gauge("p3d_bus_connected", "1 while everything on RabbitMQ is set up: declared, and consumed; else 0.")
BUS_PUBLISHED = Counter(
    "p3d_bus_published",
    "Messages published, by type (`dead_letter`: put aside). `outcome`: confirmed; sent (nobody confirms telemetry); failed.",
    ["type", "outcome"],
)
BUS_PUBLISH_SECONDS = Histogram(
    "p3d_bus_publish_seconds",
    "From publishing a message to its confirmation by the broker.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 4),
)
BUS_DELIVERIES = Counter(
    "p3d_bus_deliveries",
    "Deliveries answered. `outcome`: handled; rejected (all or part of it was put aside or dropped); returned to the queue."
    " Queues that only one process has go by what they have in common.",
    ["queue", "outcome"],
)
BUS_OLDEST_DELIVERY_SECONDS = Gauge(
    "p3d_bus_oldest_delivery_seconds",
    "For how long the oldest delivery that is under way here has been; 0 when none is. Grows while a dependency is away.",
    ["queue"],
)
DEAD_LETTERS = Counter(
    "p3d_dead_letters",
    "Messages, or parts of a batch, that could not be handled, by the queue they fell out of and why. They lie in its dead-letter"
    " queue; queues whose senders repeat themselves have none, and theirs were dropped.",
    ["queue", "reason"],
)

LOOP_FAILURES = Counter("p3d_loop_failures", "Steps of a background loop that failed; each is tried again.", ["loop"])
LOOP_LAST_SUCCESS = Gauge(
    "p3d_loop_last_success_timestamp_seconds",
    "When the loop last completed a step, as a Unix time; until the first: when it was started.",
    ["loop"],
)

DATABASE_CONNECTIONS = Gauge(
    "p3d_database_pool_connections", "Open connections to PostgreSQL. `state`: busy, idle.", ["state"]
)
DATABASE_CONNECTIONS_MAX = Gauge("p3d_database_pool_connections_max", "How many the pool may open.")
RETENTION_REMOVED = Counter("p3d_retention_removed", "What retention has removed, by kind of row.", ["what"])

TRACE_SPANS = Counter(
    "p3d_trace_spans",
    "Spans recorded, while tracing is on. `outcome`: exported; refused (by the collector); failed (it did not take them, or was"
    " away); dropped (the queue was full).",
    ["outcome"],
)


@cache  # looking labels up costs more than counting
def published(type_: str, outcome: str) -> Counter:
    return BUS_PUBLISHED.labels(type=type_, outcome=outcome)


@cache
def deliveries(queue: str, outcome: str) -> Counter:
    return BUS_DELIVERIES.labels(queue=queue, outcome=outcome)


def queue_label(queue: Queue) -> str:
    """The name; of a queue that one process has to itself, only what such queues have in common: each start makes a new one."""
    return ".".join(queue.name.split(".")[:2]) if queue.kind is QueueKind.EXCLUSIVE else queue.name


@cache
def http_request_seconds(method: str, route: str, status: int) -> Histogram:
    return HTTP_REQUEST_SECONDS.labels(method=method, route=route, status=status)

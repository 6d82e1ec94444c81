"""What the gateway counts, beyond what every service does."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

JOBS_CREATED = Counter("p3d_gateway_jobs_created", "Jobs whose request was confirmed by the broker.", ["model"])
JOBS_REPUBLISHED = Counter("p3d_gateway_jobs_republished", "Requests said again, for want of an acknowledgement.")
CANCELS_REPUBLISHED = Counter("p3d_gateway_cancels_republished", "Cancellations said again, for want of an effect.")
JOBS_NOT_SHOWN = Gauge("p3d_gateway_jobs_not_shown", "Confirmed jobs whose view waits in memory for the database.")
PUBLISH_BATCH = Histogram(
    "p3d_gateway_publish_batch_size", "Requests published as one message.", buckets=(1, 2, 5, 10, 20, 50, 100)
)
PROJECTION_BATCH = Histogram(
    "p3d_gateway_projection_batch_size", "Events applied in one transaction.", buckets=(1, 2, 5, 10, 20, 50, 100, 500)
)
PROJECTION_DELAY_SECONDS = Histogram(
    "p3d_gateway_projection_delay_seconds",
    "From an event to its being shown; of each batch the oldest.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
PROJECTION_LAG_SECONDS = Gauge(
    "p3d_gateway_projection_lag_seconds",
    "Age of the oldest event that this gateway has heard and not applied; 0 when there is none. It grows while the database is"
    " away; what no gateway takes at all is in p3d_queue_ready of gateway.projection.",
)


@cache  # looking labels up costs more than counting
def jobs_created(model: str) -> Counter:
    return JOBS_CREATED.labels(model=model)

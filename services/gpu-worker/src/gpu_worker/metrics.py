"""What a worker counts."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

SLOTS = Gauge("p3d_worker_slots", "Attempts the worker runs at once.", ["model"])
SLOTS_BUSY = Gauge("p3d_worker_slots_busy", "Slots with an attempt in them.", ["model"])
ATTEMPTS = Counter(
    "p3d_worker_attempts", "Attempts that ended here. `outcome`: succeeded, or why it failed.", ["model", "outcome"]
)
STORING = Gauge("p3d_worker_attempts_storing", "Attempts whose outputs are on their way to the store.", ["model"])
DUPLICATES = Counter("p3d_worker_duplicate_deliveries", "Copies of attempts already run here.", ["model"])
HANDED_BACK = Counter(
    "p3d_worker_handed_back_deliveries", "Deliveries for which no slot became free in time.", ["model"]
)
STAGE_SECONDS = Histogram(
    "p3d_worker_stage_seconds",
    "How long the stages of successful attempts took.",
    ["model", "stage"],
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1200, 3600),
)
ENGINE_IDLE_SECONDS = Histogram(
    "p3d_worker_engine_idle_seconds",
    "How long a warm engine waited between two attempts.",
    ["model"],
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 5, 10, 60, 600),
)
ENGINE_STARTS = Counter(
    "p3d_worker_engine_starts",
    "Engine processes started. `reason`: first (its slot had none before), replacement (an earlier one had ended).",
    ["model", "reason"],
)
REPEATED = Counter("p3d_worker_repeated_outcomes", "Outcomes said again because they may not have been heard.")
FENCED = Counter("p3d_worker_fenced", "Times the worker stopped its engines because nobody could hear it.")


@cache  # looking labels up costs more than counting
def attempts_ended(model: str, outcome: str) -> Counter:
    return ATTEMPTS.labels(model=model, outcome=outcome)


@cache
def stage_seconds(model: str, stage: str) -> Histogram:
    return STAGE_SECONDS.labels(model=model, stage=stage)


@cache
def engine_idle_seconds(model: str) -> Histogram:
    return ENGINE_IDLE_SECONDS.labels(model=model)


@cache
def engine_starts(model: str, reason: str) -> Counter:
    return ENGINE_STARTS.labels(model=model, reason=reason)

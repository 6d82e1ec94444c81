"""What the orchestrator counts.

Gauges of the census are of the whole system and the same in every replica: `max by (…)` them, never `sum`. They disappear when
the census has failed for long; counters and histograms are of one replica each: `sum` them.
"""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

# --- commits, and what they decided ---

BATCH_SIZE = Histogram("p3d_commit_batch_size", "Messages per commit.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500))
COMMIT_SECONDS = Histogram(
    "p3d_commit_seconds",
    "Time of a commit, from asking for a connection on.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
VERDICTS = Counter(
    "p3d_lifecycle_verdicts",
    "What became of messages, by kind. `verdict`: applied, duplicate, fenced, terminal, unknown_job, foreign, not_due.",
    ["message", "verdict"],
)

_DURATIONS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
JOBS_ENDED = Counter(
    "p3d_jobs_ended",
    "Jobs that ended. `state`: SUCCEEDED, FAILED, CANCELLED; `code`: why it FAILED, else `none`.",
    ["model", "state", "code"],
)
JOB_WAIT_SECONDS = Histogram(
    "p3d_job_wait_seconds", "From a job's acceptance to its first start.", ["model"], buckets=_DURATIONS
)
JOB_RUN_SECONDS = Histogram(
    "p3d_job_run_seconds",
    "From a job's first start to its end, further attempts and the waits between them included.",
    ["model", "state"],
    buckets=_DURATIONS,
)
ATTEMPTS_ENDED = Counter(
    "p3d_attempts_ended",
    "Attempts that ended, those that no worker had taken included. `outcome`: SUCCEEDED, FAILED, LOST, ABORTED; `code`: why it"
    " did not succeed, else `none`.",
    ["model", "outcome", "code"],
)
RETRIES = Counter(
    "p3d_retries",
    "Jobs that returned to the queue after an attempt, by why it ended; `worker_shutdown`: it was handed back.",
    ["model", "code"],
)

# --- the census of jobs: what PostgreSQL holds at this moment ---

JOBS = Gauge("p3d_jobs", "Jobs that are not over. `state`: QUEUED, RUNNING.", ["model", "state"])
BACKLOG = Gauge(
    "p3d_backlog", "Jobs that are not over, in whatever state: what an autoscaler of workers goes by.", ["model"]
)
OLDEST_QUEUED_SECONDS = Gauge(
    "p3d_oldest_queued_seconds",
    "How long ago the oldest of the QUEUED jobs was accepted, earlier attempts of it included; 0 when none is.",
    ["model"],
)
LEASE_AGE_SECONDS = Gauge(
    "p3d_lease_age_seconds",
    "How long ago the attempt least recently heard of was heard of; it is lost at LEASE_TTL_SECONDS. 0 when none runs.",
    ["model"],
)
DISPATCH_WINDOW = Gauge(
    "p3d_dispatch_window", "How many attempts may be on the bus, not yet taken; 0 when no worker lives.", ["model"]
)
DISPATCHED = Gauge("p3d_dispatched", "Attempts on the bus, not yet taken by a worker.", ["model"])
LIVE_WORKERS = Gauge("p3d_live_workers", "Workers heard of lately that are not stopping.", ["model"])
LIVE_SLOTS = Gauge("p3d_live_slots", "Attempts that the live workers can run at a time.", ["model"])
RELAY_LAG_SECONDS = Gauge(
    "p3d_relay_lag_seconds",
    "Age of the oldest committed event of which the database does not know yet that the broker has it; 0 when there is none."
    " Up to about a second is usual: confirmations are recorded with the next commit.",
)

# --- the census of queues: what RabbitMQ holds at this moment ---

QUEUE_READY = Gauge(
    "p3d_queue_ready", "Messages that wait in a queue, those that a consumer holds not counted.", ["queue"]
)
QUEUE_CONSUMERS = Gauge("p3d_queue_consumers", "Consumers of a queue.", ["queue"])
DEAD_LETTERS_WAITING = Gauge(
    "p3d_dead_letters_waiting", "Messages in the dead-letter queue of `queue`, waiting for a person.", ["queue"]
)
CENSUS_AGE_SECONDS = Gauge(
    "p3d_census_age_seconds",
    "How long ago the last census that succeeded was taken. `of`: jobs, queues. Past a few intervals its gauges are removed"
    " rather than shown for true.",
    ["of"],
)

CENSUS_OF_JOBS = (
    JOBS,
    BACKLOG,
    OLDEST_QUEUED_SECONDS,
    LEASE_AGE_SECONDS,
    DISPATCH_WINDOW,
    DISPATCHED,
    LIVE_WORKERS,
    LIVE_SLOTS,
)
CENSUS_OF_QUEUES = (QUEUE_READY, QUEUE_CONSUMERS, DEAD_LETTERS_WAITING)
CENSUS = (*CENSUS_OF_JOBS, RELAY_LAG_SECONDS, *CENSUS_OF_QUEUES)

# --- the relay, and what is said again ---

LEFT_BEHIND = Counter("p3d_relay_left_behind", "Events published late because their publisher failed or died.")
RETOLD = Counter("p3d_events_retold", "Events published again because the broker may have lost them.")
BROKER_RESETS = Counter("p3d_broker_resets", "How often the broker was found to have lost what it held.")
SAID_AGAIN = Counter("p3d_attempts_said_again", "Attempts put on the bus again because their queue had lost them.")


@cache  # looking labels up costs more than counting
def jobs_ended(model: str, state: str, code: str) -> Counter:
    return JOBS_ENDED.labels(model=model, state=state, code=code)


@cache
def job_wait_seconds(model: str) -> Histogram:
    return JOB_WAIT_SECONDS.labels(model=model)


@cache
def job_run_seconds(model: str, state: str) -> Histogram:
    return JOB_RUN_SECONDS.labels(model=model, state=state)


@cache
def attempts_ended(model: str, outcome: str, code: str) -> Counter:
    return ATTEMPTS_ENDED.labels(model=model, outcome=outcome, code=code)


@cache
def retries(model: str, code: str) -> Counter:
    return RETRIES.labels(model=model, code=code)


@cache
def verdicts_of(message: str, verdict: str) -> Counter:
    return VERDICTS.labels(message=message, verdict=verdict)

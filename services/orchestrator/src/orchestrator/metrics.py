"""What the orchestrator counts."""

from prometheus_client import Counter, Gauge, Histogram

BATCH_SIZE = Histogram("p3d_commit_batch_size", "Messages per commit.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500))
COMMIT_SECONDS = Histogram(
    "p3d_commit_seconds", "Time of a commit.", buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
)
VERDICTS = Counter("p3d_lifecycle_verdicts", "What became of messages.", ["message", "verdict"])
SLOTS = Gauge("p3d_live_slots", "Slots of live workers.", ["model"])
LEFT_BEHIND = Counter("p3d_relay_left_behind", "Events published late because their publisher failed or died.")
SAID_AGAIN = Counter("p3d_attempts_said_again", "Attempts put on the bus again because their queue had lost them.")
BROKER_RESETS = Counter("p3d_broker_resets", "How often the broker was found to have lost what it held.")
RETOLD = Counter("p3d_events_retold", "Events published again because the broker may have lost them.")

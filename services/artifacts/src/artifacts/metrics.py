"""What this service counts."""

from prometheus_client import Counter, Gauge, Histogram

PRESIGNED_URLS = Counter("p3d_presigned_urls", "Presigned URLs handed out.", ["kind"])
REGISTERED_ARTIFACTS = Counter("p3d_registered_artifacts", "Artifacts put on the register.", ["kind"])
OUTPUT_VERIFY_SECONDS = Histogram(
    "p3d_output_verify_seconds",
    "From asking the store for an output to knowing its hash.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SWEPT_OBJECTS = Counter("p3d_swept_objects", "Objects that retention has removed.", ["sweep"])
SWEPT_BYTES = Counter("p3d_swept_bytes", "Size of the objects that retention has removed.", ["sweep"])
SWEEP_BACKLOG = Gauge("p3d_sweep_backlog", "What was due when the sweep last began; at most 10,000.", ["sweep"])
SWEEP_SECONDS = Histogram(
    "p3d_sweep_batch_seconds", "Time of a batch.", ["sweep"], buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300)
)

"""The orchestrator's schema, for Alembic. The statements that use it are in `store.py`."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    schema="orchestrator",
    naming_convention={"pk": "%(table_name)s_pkey", "fk": "%(table_name)s_%(column_0_name)s_fkey"},
)

_OVER = "completed_at IS NOT NULL"
_WAITING = text("status = 'QUEUED' AND attempt_id IS NULL")

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("spec", JSONB, nullable=False, comment="JobSpec: what was asked for; never changes"),
    Column("status", Text, nullable=False),
    Column("seq", Integer, nullable=False, comment="of the latest row in job_events"),
    Column("accepted_at", DateTime(timezone=True), nullable=False),
    Column("attempt_id", Uuid, comment="the current attempt, DISPATCHED or STARTED"),
    Column("attempts_made", SmallInteger, nullable=False),
    Column("handbacks", SmallInteger, nullable=False),
    Column("stage", Text),
    Column("cancel_requested", Boolean, nullable=False),
    Column("not_before", DateTime(timezone=True)),
    Column("queue_deadline_at", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("error", JSONB, comment="JobError, on FAILED"),
    Column("winning_attempt_id", Uuid),
    Column("traceparent", Text, comment="W3C trace context of the request"),
    Column("log_removed_at", DateTime(timezone=True), comment="when retention removed its rows in job_events"),
    # The backlog, in the order it is drawn from: per model and user, the most urgent first.
    Index("jobs_waiting", "model_id", "user_id", text("priority DESC"), "accepted_at", postgresql_where=_WAITING),
    Index(
        "jobs_queue_deadline",
        "queue_deadline_at",
        postgresql_where=text("status = 'QUEUED' AND queue_deadline_at IS NOT NULL"),
    ),
    # What retention takes next. A job that is over is in one of the two: first its log goes, then the job.
    Index("jobs_over_with_log", "completed_at", postgresql_where=text(f"{_OVER} AND log_removed_at IS NULL")),
    Index("jobs_over_without_log", "completed_at", postgresql_where=text(f"{_OVER} AND log_removed_at IS NOT NULL")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Uuid, primary_key=True),
    Column("job_id", Uuid, ForeignKey("orchestrator.jobs.job_id", ondelete="CASCADE"), nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("worker_id", Text),
    Column("dispatched_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("lease_expires_at", DateTime(timezone=True)),
    Column("deadline_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Index("attempts_job_id", "job_id"),
    # As small as the number of GPUs plus the windows: leases, windows and fair shares are read from it alone. The lease is
    # no key of it, so that renewing one stays a heap-only update.
    Index("attempts_active", "model_id", "status", postgresql_where=text("status IN ('DISPATCHED', 'STARTED')")),
)

job_events = Table(
    "job_events",
    metadata,
    Column("job_id", Uuid, ForeignKey("orchestrator.jobs.job_id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("type", Text, nullable=False, comment="routing key, such as job.queued"),
    Column("payload", JSONB, nullable=False, comment="the JobEvent"),
    Column("traceparent", Text),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("published_at", DateTime(timezone=True), comment="confirmed by the broker"),
    PrimaryKeyConstraint("job_id", "seq"),
    Index("job_events_unpublished", "occurred_at", postgresql_where=text("published_at IS NULL")),
    # For telling a span of time again. Not BRIN: marking an event as published moves its row, and the order of time is lost.
    Index("job_events_occurred", "occurred_at"),
)

broker = Table(
    "broker",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("generation", Integer, nullable=False, comment="lives of the broker, each of which begins with nothing"),
    Column(
        "heard_until",
        DateTime(timezone=True),
        comment="every queue of events was empty then; null: no broker was met yet",
    ),
    Column(
        "retell_from", DateTime(timezone=True), comment="how far retelling is; null when there is nothing to retell"
    ),
    Column("retell_until", DateTime(timezone=True)),
    CheckConstraint("only_row", name="broker_only_row"),
    comment="What this side knows of the broker's memory; always exactly one row.",
)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", Text, primary_key=True),
    Column("models", JSONB, nullable=False, comment="model id → slots"),
    Column("stopping", Boolean, nullable=False),
    Column("interval_seconds", Float, nullable=False),
    Column("first_seen_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
)

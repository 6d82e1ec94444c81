"""The first schema"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column(
            "spec",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="JobSpec: what was asked for; never changes",
        ),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False, comment="of the latest row in job_events"),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=True, comment="the current attempt, DISPATCHED or STARTED"),
        sa.Column("attempts_made", sa.SmallInteger(), nullable=False),
        sa.Column("handbacks", sa.SmallInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queue_deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="JobError, on FAILED"),
        sa.Column("winning_attempt_id", sa.Uuid(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True, comment="W3C trace context of the request"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("jobs_pkey")),
        schema="orchestrator",
    )
    op.create_index(
        "jobs_queue_deadline",
        "jobs",
        ["queue_deadline_at"],
        unique=False,
        schema="orchestrator",
        postgresql_where=sa.text("status = 'QUEUED' AND queue_deadline_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_waiting",
        "jobs",
        ["model_id", "user_id", sa.literal_column("priority DESC"), "accepted_at"],
        unique=False,
        schema="orchestrator",
        postgresql_where=sa.text("status = 'QUEUED' AND attempt_id IS NULL"),
    )
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("models", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="model id → slots"),
        sa.Column("stopping", sa.Boolean(), nullable=False),
        sa.Column("interval_seconds", sa.Float(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("workers_pkey")),
        schema="orchestrator",
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["orchestrator.jobs.job_id"], name=op.f("attempts_job_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("attempts_pkey")),
        schema="orchestrator",
    )
    op.create_index(
        "attempts_active",
        "attempts",
        ["model_id", "status"],
        unique=False,
        schema="orchestrator",
        postgresql_where=sa.text("status IN ('DISPATCHED', 'STARTED')"),
    )
    op.create_index("attempts_job_id", "attempts", ["job_id"], unique=False, schema="orchestrator")
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False, comment="routing key, such as job.queued"),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="the JobEvent"),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True, comment="confirmed by the broker"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["orchestrator.jobs.job_id"], name=op.f("job_events_job_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("job_events_pkey")),
        schema="orchestrator",
    )
    op.create_index(
        "job_events_unpublished",
        "job_events",
        ["occurred_at"],
        unique=False,
        schema="orchestrator",
        postgresql_where=sa.text("published_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "job_events_unpublished",
        table_name="job_events",
        schema="orchestrator",
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.drop_table("job_events", schema="orchestrator")
    op.drop_index("attempts_job_id", table_name="attempts", schema="orchestrator")
    op.drop_index(
        "attempts_active",
        table_name="attempts",
        schema="orchestrator",
        postgresql_where=sa.text("status IN ('DISPATCHED', 'STARTED')"),
    )
    op.drop_table("attempts", schema="orchestrator")
    op.drop_table("workers", schema="orchestrator")
    op.drop_index(
        "jobs_waiting",
        table_name="jobs",
        schema="orchestrator",
        postgresql_where=sa.text("status = 'QUEUED' AND attempt_id IS NULL"),
    )
    op.drop_index(
        "jobs_queue_deadline",
        table_name="jobs",
        schema="orchestrator",
        postgresql_where=sa.text("status = 'QUEUED' AND queue_deadline_at IS NOT NULL"),
    )
    op.drop_table("jobs", schema="orchestrator")

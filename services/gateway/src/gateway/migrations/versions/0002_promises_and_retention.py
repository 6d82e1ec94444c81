"""Cancellations that are not forgotten, the spec behind a key, and what retention and filtered lists read"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "job_views",
        sa.Column(
            "cancel_asked_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when its owner said that the job be cancelled",
        ),
        schema="gateway",
    )
    op.add_column(
        "job_views",
        sa.Column(
            "log_removed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when retention removed its rows in job_view_events",
        ),
        schema="gateway",
    )
    op.add_column(
        "idempotency_keys",
        sa.Column(
            "spec",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="JobSpec: what a retry asks for; null once the job is known to exist",
        ),
        schema="gateway",
    )
    # So far it was left behind when the orchestrator had answered; from now on it says that there is something to say.
    op.execute("UPDATE gateway.job_views SET republish_at = NULL WHERE seq > 0 AND republish_at IS NOT NULL")
    _replace_unacknowledged("republish_at IS NOT NULL")
    op.create_index(
        "job_views_of_user_filtered",
        "job_views",
        ["user_id", "model_id", "status", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
        schema="gateway",
    )
    op.create_index(
        "job_views_over_with_log",
        "job_views",
        ["completed_at"],
        unique=False,
        schema="gateway",
        postgresql_where=sa.text("completed_at IS NOT NULL AND log_removed_at IS NULL"),
    )
    op.create_index(
        "job_views_over_without_log",
        "job_views",
        ["completed_at"],
        unique=False,
        schema="gateway",
        postgresql_where=sa.text("completed_at IS NOT NULL AND log_removed_at IS NOT NULL"),
    )
    op.create_index(
        "job_views_never_known",
        "job_views",
        ["id"],
        unique=False,
        schema="gateway",
        postgresql_where=sa.text("created_at IS NULL"),
    )
    op.create_index(
        "idempotency_keys_unchecked",
        "idempotency_keys",
        ["created_at"],
        unique=False,
        schema="gateway",
        postgresql_where=sa.text("spec IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("idempotency_keys_unchecked", table_name="idempotency_keys", schema="gateway")
    op.drop_index("job_views_never_known", table_name="job_views", schema="gateway")
    op.drop_index("job_views_over_without_log", table_name="job_views", schema="gateway")
    op.drop_index("job_views_over_with_log", table_name="job_views", schema="gateway")
    op.drop_index("job_views_of_user_filtered", table_name="job_views", schema="gateway")
    _replace_unacknowledged("seq = 0")
    op.drop_column("idempotency_keys", "spec", schema="gateway")
    op.drop_column("job_views", "log_removed_at", schema="gateway")
    op.drop_column("job_views", "cancel_asked_at", schema="gateway")


def _replace_unacknowledged(predicate: str) -> None:
    op.drop_index("job_views_unacknowledged", table_name="job_views", schema="gateway")
    op.create_index(
        "job_views_unacknowledged",
        "job_views",
        ["republish_at"],
        unique=False,
        schema="gateway",
        postgresql_where=sa.text(predicate),
    )

"""What is known of the broker's memory, and what retention reads"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broker",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "generation", sa.Integer(), nullable=False, comment="lives of the broker, each of which begins with nothing"
        ),
        sa.Column(
            "heard_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="every queue of events was empty then; null: no broker was met yet",
        ),
        sa.Column(
            "retell_from",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="how far retelling is; null when there is nothing to retell",
        ),
        sa.Column("retell_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("only_row", name="broker_only_row"),
        sa.PrimaryKeyConstraint("only_row", name=op.f("broker_pkey")),
        schema="orchestrator",
        comment="What this side knows of the broker's memory; always exactly one row.",
    )
    op.execute("INSERT INTO orchestrator.broker (generation, heard_until) VALUES (0, NULL)")
    op.create_index(
        "job_events_occurred",
        "job_events",
        ["occurred_at"],
        unique=False,
        schema="orchestrator",
    )
    op.add_column(
        "jobs",
        sa.Column(
            "log_removed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when retention removed its rows in job_events",
        ),
        schema="orchestrator",
    )
    op.create_index(
        "jobs_over_with_log",
        "jobs",
        ["completed_at"],
        unique=False,
        schema="orchestrator",
        postgresql_where=sa.text("completed_at IS NOT NULL AND log_removed_at IS NULL"),
    )
    op.create_index(
        "jobs_over_without_log",
        "jobs",
        ["completed_at"],
        unique=False,
        schema="orchestrator",
        postgresql_where=sa.text("completed_at IS NOT NULL AND log_removed_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("jobs_over_without_log", table_name="jobs", schema="orchestrator")
    op.drop_index("jobs_over_with_log", table_name="jobs", schema="orchestrator")
    op.drop_column("jobs", "log_removed_at", schema="orchestrator")
    op.drop_index("job_events_occurred", table_name="job_events", schema="orchestrator")
    op.drop_table("broker", schema="orchestrator")

"""What the sweeps go by"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is computed once, so no row is rewritten. Older rows that a job uses look as if they were to be swept in a week:
    # the sweep itself finds that they are in use, and marks them so.
    op.add_column(
        "uploads",
        sa.Column(
            "kept_until",
            sa.DateTime(timezone=True),
            server_default=sa.text("now() + '7 days'::interval"),
            comment="No sweep removes it before; NULL: as long as a job has it as its input.",
        ),
        schema="artifacts",
    )
    op.add_column(
        "uploads",
        sa.Column(
            "removing",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="A sweep is removing the object: it can no longer be used.",
        ),
        schema="artifacts",
    )
    op.create_index(
        "ix_uploads_kept_until",
        "uploads",
        ["kept_until"],
        schema="artifacts",
        postgresql_where=sa.text("kept_until IS NOT NULL"),
    )
    op.drop_index("ix_uploads_expires_at", table_name="uploads", schema="artifacts")
    op.create_index(
        "ix_artifacts_inputs",
        "artifacts",
        ["object_name"],
        schema="artifacts",
        postgresql_where=sa.text("attempt_id IS NULL"),
    )
    op.create_table(
        "outcomes",
        sa.Column("job_id", sa.Uuid(), primary_key=True),
        sa.Column(
            "winners",
            postgresql.ARRAY(sa.Uuid()),
            nullable=False,
            comment="Attempts that a JobSucceeded named; empty if the job failed or was cancelled.",
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False, comment="By the orchestrator's clock."),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column(
            "outputs_swept_at",
            sa.DateTime(timezone=True),
            comment="When the files of its other attempts were removed.",
        ),
        sa.Column(
            "claimed_until", sa.DateTime(timezone=True), comment="A sweep is at work on it; if it dies, until then."
        ),
        schema="artifacts",
        comment="Jobs that are over, as heard on the bus: what the sweeps go by.",
    )
    op.create_index("ix_outcomes_heard_at", "outcomes", ["heard_at"], schema="artifacts")
    op.create_index(
        "ix_outcomes_unswept",
        "outcomes",
        ["heard_at"],
        schema="artifacts",
        postgresql_where=sa.text("outputs_swept_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("outcomes", schema="artifacts")
    op.drop_index("ix_artifacts_inputs", table_name="artifacts", schema="artifacts")
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"], schema="artifacts")
    op.drop_index("ix_uploads_kept_until", table_name="uploads", schema="artifacts")
    op.drop_column("uploads", "removing", schema="artifacts")
    op.drop_column("uploads", "kept_until", schema="artifacts")

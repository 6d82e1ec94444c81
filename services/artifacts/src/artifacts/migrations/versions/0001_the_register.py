"""Tickets for uploads, and the register of files."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("object_name", sa.Text(), primary_key=True),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False, comment="The user's file name, sanitised; never part of a path."),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the ticket stops accepting bytes.",
        ),
        schema="artifacts",
        comment="One row per ticket; the object may never have been uploaded.",
    )
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"], schema="artifacts")
    op.create_table(
        "artifacts",
        sa.Column("artifact_id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), comment="NULL for inputs, which belong to the job as a whole."),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), comment="NULL for inputs, which nobody has read yet."),
        sa.Column("object_name", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint(
            "job_id", "attempt_id", "name", name="uq_artifacts_job_attempt_name", postgresql_nulls_not_distinct=True
        ),
        sa.CheckConstraint("(attempt_id IS NULL) = (kind = 'input')", name="ck_artifacts_inputs_have_no_attempt"),
        sa.CheckConstraint("size_bytes >= 0", name="ck_artifacts_size"),
        schema="artifacts",
        comment="Files that are stored, verified and belong to a job.",
    )


def downgrade() -> None:
    op.drop_table("artifacts", schema="artifacts")
    op.drop_table("uploads", schema="artifacts")

"""The service's tables, described for Alembic. Statements are in `store.py`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)

metadata = MetaData(schema="artifacts")

uploads = Table(
    "uploads",
    metadata,
    Column("object_name", Text, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("label", Text, nullable=False, comment="The user's file name, sanitised; never part of a path."),
    Column("content_type", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True), nullable=False, comment="When the ticket stops accepting bytes."),
    Index("ix_uploads_expires_at", "expires_at"),
    comment="One row per ticket; the object may never have been uploaded.",
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("artifact_id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("attempt_id", Uuid, comment="NULL for inputs, which belong to the job as a whole."),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, comment="NULL for inputs, which nobody has read yet."),
    Column("object_name", Text, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint(
        "job_id", "attempt_id", "name", name="uq_artifacts_job_attempt_name", postgresql_nulls_not_distinct=True
    ),
    CheckConstraint("(attempt_id IS NULL) = (kind = 'input')", name="ck_artifacts_inputs_have_no_attempt"),
    CheckConstraint("size_bytes >= 0", name="ck_artifacts_size"),
    comment="Files that are stored, verified and belong to a job.",
)

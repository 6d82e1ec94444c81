"""The service's tables, described for Alembic. Statements are in `store.py`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

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
    Column(
        "kept_until",
        DateTime(timezone=True),
        server_default=text("now() + '7 days'::interval"),
        comment="No sweep removes it before; NULL: as long as a job has it as its input.",
    ),
    Column(
        "removing",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="A sweep is removing the object: it can no longer be used.",
    ),
    # Most rows are inputs of jobs, and no sweep's business.
    Index("ix_uploads_kept_until", "kept_until", postgresql_where=text("kept_until IS NOT NULL")),
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
    # Which jobs still use an upload?
    Index("ix_artifacts_inputs", "object_name", postgresql_where=text("attempt_id IS NULL")),
    comment="Files that are stored, verified and belong to a job.",
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column(
        "winners",
        ARRAY(Uuid),
        nullable=False,
        comment="Attempts that a JobSucceeded named; empty if the job failed or was cancelled.",
    ),
    Column("ended_at", DateTime(timezone=True), nullable=False, comment="By the orchestrator's clock."),
    Column("heard_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("outputs_swept_at", DateTime(timezone=True), comment="When the files of its other attempts were removed."),
    Column("claimed_until", DateTime(timezone=True), comment="A sweep is at work on it; if it dies, until then."),
    Index("ix_outcomes_heard_at", "heard_at"),
    Index("ix_outcomes_unswept", "heard_at", postgresql_where=text("outputs_swept_at IS NULL")),
    comment="Jobs that are over, as heard on the bus: what the sweeps go by.",
)

"""The gateway's tables, described for Alembic. Queries are hand-written in `store`."""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData(schema="gateway")

_now = text("now()")

users = Table(
    "users",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("username", Text, nullable=False, unique=True),
    Column("password_hash", Text, comment="argon2id; null: cannot log in with a password"),
    Column("priority", SmallInteger, nullable=False, server_default=text("0"), comment="of the user's jobs"),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", UUID, ForeignKey(users.c.id, ondelete="CASCADE"), nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the key"),
    Column("prefix", Text, nullable=False, comment="how people tell keys apart"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("revoked_at", DateTime(timezone=True)),
)

Index("api_keys_of_user", api_keys.c.user_id)

models = Table(
    "models",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("parameters_schema", JSONB, nullable=False),
    Column("defaults", JSONB, nullable=False),
    Column("policy", JSONB, nullable=False),
    Column("retired", Boolean, nullable=False, server_default=text("false")),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

job_views = Table(
    "job_views",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", UUID, nullable=False),
    Column("model_id", Text, nullable=False),
    # The part that never changes. Null while only later events of the job were heard: such a row is not shown.
    Column("input_params", JSONB),
    Column("prompt", Text),
    Column("input_object", Text),
    Column("priority", Integer),
    Column("policy", JSONB),
    Column("created_at", DateTime(timezone=True)),
    # The part that follows the events, as of the seq-th.
    Column("seq", Integer, nullable=False, server_default=text("0")),
    Column("status", Text, nullable=False),
    Column("stage", Text),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("error", JSONB),
    Column("winning_attempt_id", UUID),
    Column("progress_percent", SmallInteger, nullable=False, server_default=text("0")),
    # When to say the request, or the cancellation, again, and how often that was done. Null: there is nothing to say.
    Column("republish_at", DateTime(timezone=True)),
    Column("republished", SmallInteger, nullable=False, server_default=text("0")),
    Column("cancel_asked_at", DateTime(timezone=True), comment="when its owner said that the job be cancelled"),
    Column("log_removed_at", DateTime(timezone=True), comment="when retention removed its rows in job_view_events"),
    # Rows are rewritten a few times in their life: room on the page lets most of that happen without touching an index.
    postgresql_with={"fillfactor": "80"},
)
Index("job_views_of_user", job_views.c.user_id, job_views.c.created_at.desc(), job_views.c.id.desc())
Index(
    "job_views_waiting",
    job_views.c.model_id,
    job_views.c.priority.desc(),
    job_views.c.created_at,
    postgresql_where=text("status = 'QUEUED'"),
)
# `seq` is no part of it, nor of any other: an update that only tells of a new stage then touches no index.
Index("job_views_unacknowledged", job_views.c.republish_at, postgresql_where=text("republish_at IS NOT NULL"))
# For lists with a filter: the newest of a user, a model and a status are neighbours.
Index(
    "job_views_of_user_filtered",
    job_views.c.user_id,
    job_views.c.model_id,
    job_views.c.status,
    job_views.c.created_at.desc(),
    job_views.c.id.desc(),
)
# For retention. What is over is in exactly one of these two, and enters each at its end.
Index(
    "job_views_over_with_log",
    job_views.c.completed_at,
    postgresql_where=text("completed_at IS NOT NULL AND log_removed_at IS NULL"),
)
Index(
    "job_views_over_without_log",
    job_views.c.completed_at,
    postgresql_where=text("completed_at IS NOT NULL AND log_removed_at IS NOT NULL"),
)
Index("job_views_never_known", job_views.c.id, postgresql_where=text("created_at IS NULL"))

job_view_events = Table(
    "job_view_events",
    metadata,
    Column("job_id", UUID, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("type", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("payload", JSONB, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("job_id", UUID, primary_key=True, comment="derived from the user and the key"),
    Column("fingerprint", LargeBinary, nullable=False, comment="SHA-256 of the request the key was first sent with"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("spec", JSONB, comment="JobSpec: what a retry asks for; null once the job is known to exist"),
)
# For retention, which looks at each key once.
Index("idempotency_keys_unchecked", idempotency_keys.c.created_at, postgresql_where=text("spec IS NOT NULL"))

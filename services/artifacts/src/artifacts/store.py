"""The register in PostgreSQL. Every method is one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.ids import AttemptId, JobId, ObjectName, UserId
from contracts.outputs import ArtifactKind
from service_kit.database import Pool, answers


@dataclass(frozen=True, slots=True)
class Upload:
    """What a ticket named."""

    object_name: ObjectName
    user_id: UserId
    label: str
    content_type: str


@dataclass(frozen=True, slots=True)
class RegisteredFile:
    """A row of the register. Inputs have neither attempt nor hash."""

    job_id: JobId
    attempt_id: AttemptId | None
    name: str
    kind: ArtifactKind
    content_type: str
    size_bytes: int
    sha256: str | None
    object_name: ObjectName
    user_id: UserId


_INSERT_UPLOAD = """
INSERT INTO artifacts.uploads (object_name, user_id, label, content_type, expires_at) VALUES ($1, $2, $3, $4, $5)
"""

_FIND_UPLOAD = (
    "SELECT object_name, user_id, label, content_type FROM artifacts.uploads WHERE object_name = $1 AND user_id = $2"
)

_FIND_UPLOADS = """
SELECT u.object_name, u.user_id, u.label, u.content_type
FROM artifacts.uploads u JOIN unnest($1::text[], $2::uuid[]) AS asked (object_name, user_id) USING (object_name, user_id)
"""

# The newest verification wins: an attempt that uploads a file anew and registers it again has changed what is stored.
# A row never changes hands.
_REGISTER = """
INSERT INTO artifacts.artifacts AS a
    (job_id, attempt_id, name, kind, content_type, size_bytes, sha256, object_name, user_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::uuid[])
ON CONFLICT (job_id, attempt_id, name) DO UPDATE
SET kind = excluded.kind, content_type = excluded.content_type, size_bytes = excluded.size_bytes,
    sha256 = excluded.sha256, object_name = excluded.object_name
WHERE a.user_id = excluded.user_id
"""

_LIST = """
SELECT job_id, attempt_id, name, kind, content_type, size_bytes, sha256, object_name, user_id
FROM artifacts.artifacts
WHERE job_id = $1 AND user_id = $2 AND (attempt_id IS NULL OR attempt_id = $3)
ORDER BY attempt_id IS NOT NULL, artifact_id
"""


class Store:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ping(self) -> bool:
        return await answers(self._pool)

    async def add_upload(self, upload: Upload, *, expires_at: datetime) -> None:
        await self._pool.execute(
            _INSERT_UPLOAD, upload.object_name, upload.user_id, upload.label, upload.content_type, expires_at
        )

    async def find_upload(self, user_id: UserId, object_name: ObjectName) -> Upload | None:
        """None also where the object is another user's."""
        row = await self._pool.fetchrow(_FIND_UPLOAD, object_name, user_id)
        return None if row is None else Upload(**row)

    async def find_uploads(self, asked: Sequence[tuple[UserId, ObjectName]]) -> list[Upload]:
        """Those of the named objects that belong to the user named with them."""
        names = [object_name for _, object_name in asked]
        return [
            Upload(**row) for row in await self._pool.fetch(_FIND_UPLOADS, names, [user_id for user_id, _ in asked])
        ]

    async def register(self, files: Sequence[RegisteredFile]) -> None:
        """Adds or renews the rows, all or none. Idempotent."""
        # One statement cannot touch a row twice, yet a retried request may share its batch with the first one.
        latest = {(file.job_id, file.attempt_id, file.name): file for file in files}.values()
        columns = zip(*(_as_tuple(file) for file in latest), strict=True)
        await self._pool.execute(_REGISTER, *columns)

    async def files_of(self, job_id: JobId, user_id: UserId, attempt_id: AttemptId | None) -> list[RegisteredFile]:
        """The job's inputs, then the attempt's outputs; nothing if the job is another user's."""
        rows = await self._pool.fetch(_LIST, job_id, user_id, attempt_id)
        return [RegisteredFile(**(dict(row) | {"kind": ArtifactKind(row["kind"])})) for row in rows]


def _as_tuple(file: RegisteredFile) -> tuple[object, ...]:
    return (
        file.job_id,
        file.attempt_id,
        file.name,
        file.kind.value,
        file.content_type,
        file.size_bytes,
        file.sha256,
        file.object_name,
        file.user_id,
    )

"""The register in PostgreSQL, as requests and messages use it. Every method is one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from asyncpg import Record

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


OutputKey: TypeAlias = tuple[JobId, AttemptId | None, str]
"""By which the register tells files apart."""


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

    @property
    def key(self) -> OutputKey:
        return self.job_id, self.attempt_id, self.name


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job is over, for good."""

    job_id: JobId
    winner: AttemptId | None
    """None if it failed or was cancelled."""
    ended_at: datetime
    """By the orchestrator's clock."""


_INSERT_UPLOAD = """
INSERT INTO artifacts.uploads (object_name, user_id, label, content_type, expires_at, kept_until)
VALUES ($1, $2, $3, $4, $5, $6)
"""

_FIND_UPLOAD = """
SELECT object_name, user_id, label, content_type, coalesce(kept_until >= now() + $3::interval, true) AS kept
FROM artifacts.uploads WHERE object_name = $1 AND user_id = $2 AND NOT removing
"""

_KEEP_UPLOAD = """
UPDATE artifacts.uploads SET kept_until = CASE WHEN kept_until IS NOT NULL THEN greatest(kept_until, now() + $2::interval) END
WHERE object_name = $1 AND NOT removing
RETURNING true
"""

_FIND_UPLOADS = """
SELECT u.object_name, u.user_id, u.label, u.content_type
FROM artifacts.uploads u JOIN unnest($1::text[], $2::uuid[]) AS asked (object_name, user_id) USING (object_name, user_id)
WHERE NOT u.removing
"""

# The upload's row is locked first: a sweep has either claimed it, and there is no input, or will find it in use.
_REGISTER_INPUTS = """
WITH asked AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::uuid[])
        AS asked (job_id, name, content_type, size_bytes, object_name, user_id)
), locked AS (
    SELECT object_name, kept_until FROM artifacts.uploads
    WHERE object_name IN (SELECT object_name FROM asked) AND NOT removing
    ORDER BY object_name FOR NO KEY UPDATE
), kept AS (
    UPDATE artifacts.uploads SET kept_until = NULL
    WHERE object_name IN (SELECT object_name FROM locked WHERE kept_until IS NOT NULL)
), registered AS (
    INSERT INTO artifacts.artifacts (job_id, name, kind, content_type, size_bytes, object_name, user_id)
    SELECT job_id, name, 'input', content_type, size_bytes, object_name, user_id FROM asked JOIN locked USING (object_name)
    ON CONFLICT (job_id, attempt_id, name) DO NOTHING
)
SELECT job_id FROM asked JOIN locked USING (object_name)
"""

# What is registered never changes, so a row that is there already is answered as it is. Nothing is registered any more for an
# attempt that lost: its files may be swept at any time.
_REGISTER_OUTPUTS = """
INSERT INTO artifacts.artifacts AS a
    (job_id, attempt_id, name, kind, content_type, size_bytes, sha256, object_name, user_id)
SELECT job_id, attempt_id, name, kind, content_type, size_bytes, sha256, object_name, user_id
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::uuid[])
    WITH ORDINALITY AS asked (job_id, attempt_id, name, kind, content_type, size_bytes, sha256, object_name, user_id, position)
WHERE NOT EXISTS (
    SELECT FROM artifacts.outcomes o WHERE o.job_id = asked.job_id AND asked.attempt_id <> ALL (o.winners)
)
ORDER BY position
ON CONFLICT (job_id, attempt_id, name) DO UPDATE SET sha256 = a.sha256
RETURNING job_id, attempt_id, name, kind, content_type, size_bytes, sha256, object_name, user_id
"""

_HAS_LOST = """
SELECT EXISTS (SELECT FROM artifacts.outcomes WHERE job_id = $1 AND $2 <> ALL (winners))
"""

# A set that only grows: neither the order in which events are heard nor how often matters.
_NOTE_OUTCOMES = """
INSERT INTO artifacts.outcomes AS o (job_id, winners, ended_at)
SELECT job_id, array_remove(array_agg(DISTINCT winner), NULL), max(ended_at)
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS heard (job_id, winner, ended_at)
GROUP BY job_id ORDER BY job_id
ON CONFLICT (job_id) DO UPDATE
SET winners = ARRAY(SELECT DISTINCT winner FROM unnest(o.winners || excluded.winners) AS known (winner)),
    ended_at = greatest(o.ended_at, excluded.ended_at)
WHERE NOT (o.winners @> excluded.winners AND o.ended_at >= excluded.ended_at)
"""

_FIND_REOPENED = """
SELECT job_id FROM artifacts.outcomes JOIN unnest($1::uuid[], $2::timestamptz[]) AS queued (job_id, queued_at) USING (job_id)
WHERE queued_at > ended_at + $3::interval
"""

_CLAIM_REOPENED = """
UPDATE artifacts.outcomes SET claimed_until = now() + $2::interval
WHERE job_id = ANY ($1::uuid[]) AND coalesce(claimed_until < now(), true) RETURNING job_id
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

    async def add_upload(self, upload: Upload, *, expires_at: datetime, kept_until: datetime) -> None:
        await self._pool.execute(
            _INSERT_UPLOAD,
            upload.object_name,
            upload.user_id,
            upload.label,
            upload.content_type,
            expires_at,
            kept_until,
        )

    async def find_upload(
        self, user_id: UserId, object_name: ObjectName, *, kept_for: timedelta
    ) -> tuple[Upload, bool] | None:
        """The upload, and whether it stays for `kept_for` from now. None also where the object is another user's."""
        row = await self._pool.fetchrow(_FIND_UPLOAD, object_name, user_id, kept_for)
        if row is None:
            return None
        found = dict(row)
        kept = found.pop("kept")
        return Upload(**found), kept

    async def keep_upload(self, object_name: ObjectName, *, kept_for: timedelta) -> bool:
        """Has the upload stay for `kept_for` from now at least; False if a sweep was faster. Idempotent."""
        return bool(await self._pool.fetchval(_KEEP_UPLOAD, object_name, kept_for))

    async def find_uploads(self, asked: Sequence[tuple[UserId, ObjectName]]) -> list[Upload]:
        """Those of the named objects that belong to the user named with them."""
        names = [object_name for _, object_name in asked]
        return [
            Upload(**row) for row in await self._pool.fetch(_FIND_UPLOADS, names, [user_id for user_id, _ in asked])
        ]

    async def register_inputs(self, files: Sequence[RegisteredFile]) -> set[JobId]:
        """The jobs whose input is now on the register, and stays as long as the job. Idempotent."""
        columns = zip(
            *(
                (file.job_id, file.name, file.content_type, file.size_bytes, file.object_name, file.user_id)
                for file in files
            ),
            strict=True,
        )
        return {row["job_id"] for row in await self._pool.fetch(_REGISTER_INPUTS, *columns)}

    async def register_outputs(self, files: Sequence[RegisteredFile]) -> dict[OutputKey, RegisteredFile]:
        """What is on the register afterwards for each of the files; nothing for those of attempts that lost. Idempotent."""
        # One statement cannot touch a row twice, yet a retried request may share its batch with the first one.
        first: dict[OutputKey, RegisteredFile] = {}
        for file in files:
            first.setdefault(file.key, file)
        columns = zip(*map(_as_tuple, first.values()), strict=True)
        registered = [_as_file(row) for row in await self._pool.fetch(_REGISTER_OUTPUTS, *columns)]
        return {file.key: file for file in registered}

    async def has_lost(self, job_id: JobId, attempt_id: AttemptId) -> bool:
        """Whether the job is known to be over and the attempt is not the one that won."""
        return bool(await self._pool.fetchval(_HAS_LOST, job_id, attempt_id))

    async def note_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Notes which jobs are over and which attempt won, if any. In any order, any number of times."""
        await self._pool.execute(
            _NOTE_OUTCOMES,
            [outcome.job_id for outcome in outcomes],
            [outcome.winner for outcome in outcomes],
            [outcome.ended_at for outcome in outcomes],
        )

    async def find_reopened(self, queued: Mapping[JobId, datetime], *, margin: timedelta) -> list[JobId]:
        """Those of the jobs that ended more than `margin` before they were queued."""
        rows = await self._pool.fetch(_FIND_REOPENED, list(queued.keys()), list(queued.values()), margin)
        return [row["job_id"] for row in rows]

    async def claim_reopened(self, job_ids: Sequence[JobId], *, claimed_for: timedelta) -> list[JobId]:
        """Those of the jobs that no sweep is at work on, and will not be for so long."""
        return [row["job_id"] for row in await self._pool.fetch(_CLAIM_REOPENED, job_ids, claimed_for)]

    async def files_of(self, job_id: JobId, user_id: UserId, attempt_id: AttemptId | None) -> list[RegisteredFile]:
        """The job's inputs, then the attempt's outputs; nothing if the job is another user's."""
        rows = await self._pool.fetch(_LIST, job_id, user_id, attempt_id)
        return [_as_file(row) for row in rows]


def _as_file(row: Record) -> RegisteredFile:
    return RegisteredFile(**(dict(row) | {"kind": ArtifactKind(row["kind"])}))


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

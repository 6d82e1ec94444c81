"""Idempotency keys: each tied, for good, to the first request that used it and to the job that request became."""

from dataclasses import dataclass

from contracts.ids import JobId
from contracts.jobs import JobSpec
from gateway.store.database import Database

_CLAIM = """
INSERT INTO gateway.idempotency_keys (job_id, fingerprint, spec) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_FIND = "SELECT fingerprint, spec FROM gateway.idempotency_keys WHERE job_id = $1"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a key was first used for."""

    fingerprint: bytes
    spec: JobSpec | None
    """None once retention has seen that the job exists, which is then all that needs to be known."""


class IdempotencyKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, job_id: JobId) -> Claim | None:
        """By the id of the job that the key names."""
        row = await self._database.pool.fetchrow(_FIND, job_id)
        if row is None:
            return None
        return Claim(row["fingerprint"], JobSpec.model_validate(row["spec"]) if row["spec"] is not None else None)

    async def claim(self, job: JobSpec, fingerprint: bytes) -> bool:
        """Ties the key that names this job to it; False if it was tied before, to this job or to one asked for otherwise."""
        spec = job.model_dump(mode="json")
        return str(await self._database.pool.execute(_CLAIM, job.job_id, fingerprint, spec)).endswith(" 1")

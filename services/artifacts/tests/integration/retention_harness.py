"""Time passes, sweeps run, and what is left in the bucket and on the register."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import aiohttp
from artifacts_harness import Attempt, Service, output
from yarl import URL

from artifacts.endpoint import parse_endpoint
from artifacts.object_names import output_name
from artifacts.object_store import ObjectStore
from artifacts.presigner import Presigner
from artifacts.settings import ArtifactsSettings
from artifacts.sweep_jobs import job_sweep
from artifacts.sweep_losers import loser_sweep
from artifacts.sweep_store import SweepStore
from artifacts.sweep_uploads import upload_sweep
from contracts import artifacts_api as api
from contracts.cloudevents import wrap
from contracts.ids import AttemptId, JobId, ModelId, ObjectName, UserId
from contracts.jobs import JobCancelled, JobEvent, JobFailed, JobQueued, JobSpec, JobState, JobSucceeded
from contracts.states import JobStatus
from service_kit.bus import Bus
from service_kit.database import Pool

LOSERS_KEPT_FOR, JOBS_KEPT_FOR, UPLOADS_KEPT_FOR = timedelta(hours=24), timedelta(days=90), timedelta(hours=72)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = ModelId("silhouette-v1")

MakeSettings = Callable[..., ArtifactsSettings]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The store behind the service's back."""

    http: aiohttp.ClientSession
    presigner: Presigner
    objects: ObjectStore

    async def put(self, object_name: str, data: bytes, content_type: str) -> None:
        headers = {"Content-Type": content_type}
        url = self.presigner.presign("PUT", object_name, now=datetime.now(UTC), expires_in_seconds=60, headers=headers)
        async with self.http.put(URL(url, encoded=True), data=data, headers=headers) as response:
            assert response.status == 200

    async def holds(self, object_name: str) -> bool:
        return await self.objects.head(object_name) is not None

    async def names(self, prefix: str) -> set[str]:
        return {listed.object_name async for listed in self.objects.list(prefix)}


class Retention:
    """The sweeps of the service, run when a test says so. One replica's, if there are several."""

    def __init__(self, pool: Pool, bucket: Bucket) -> None:
        self.pool = pool
        self.bucket = bucket
        self.store = SweepStore(pool)
        self.sweep_uploads = upload_sweep(self.store, bucket.objects)
        self.sweep_losers = loser_sweep(self.store, bucket.objects, kept_for=LOSERS_KEPT_FOR)
        self.sweep_jobs = job_sweep(
            self.store, bucket.objects, kept_for=JOBS_KEPT_FOR, inputs_kept_for=UPLOADS_KEPT_FOR
        )

    async def sweep(self) -> None:
        """Everything that is due."""
        await self.sweep_losers()
        await self.sweep_jobs()
        await self.sweep_uploads()

    async def job_ages(self, job_id: JobId, by: timedelta) -> None:
        """So long has passed since the job was over, and for claims on it."""
        await self.pool.execute(
            "UPDATE artifacts.outcomes SET heard_at = heard_at - $2::interval, claimed_until = claimed_until - $2::interval"
            " WHERE job_id = $1",
            job_id,
            by,
        )

    async def upload_ages(self, object_name: str, by: timedelta) -> None:
        await self.pool.execute(
            "UPDATE artifacts.uploads SET kept_until = kept_until - $2::interval WHERE object_name = $1",
            object_name,
            by,
        )

    async def knows_upload(self, object_name: str) -> bool:
        return bool(
            await self.pool.fetchval("SELECT count(*) FROM artifacts.uploads WHERE object_name = $1", object_name)
        )

    async def knows_job(self, job_id: JobId) -> bool:
        """Whether there is any row of it."""
        return bool(
            await self.pool.fetchval(
                "SELECT (SELECT count(*) FROM artifacts.outcomes WHERE job_id = $1)"
                " + (SELECT count(*) FROM artifacts.artifacts WHERE job_id = $1)",
                job_id,
            )
        )

    async def registered(self, job_id: JobId) -> set[AttemptId | None]:
        """Whose files are on the register; None stands for the input."""
        rows = await self.pool.fetch("SELECT DISTINCT attempt_id FROM artifacts.artifacts WHERE job_id = $1", job_id)
        return {row["attempt_id"] for row in rows}

    async def has_heard(self, job_id: JobId, winner: AttemptId | None = None) -> bool:
        """Of the end of the job, and of its winner if one is named."""
        winners = await self.pool.fetchval("SELECT winners FROM artifacts.outcomes WHERE job_id = $1", job_id)
        return winners is not None and (winner is None or winner in winners)


async def stored(service: Service, attempt: Attempt, data: bytes) -> None:
    """The attempt has uploaded a model and registered it."""
    await attempt.upload(service, {output(data): data})
    assert (await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(data)))).status == 200


def attempt_of(user: UserId) -> Attempt:
    """The first of a new job."""
    return Attempt(JobId(uuid4()), AttemptId(uuid4()), user)


def another(attempt: Attempt) -> Attempt:
    """The next attempt of the same job."""
    return Attempt(attempt.job_id, AttemptId(uuid4()), attempt.user_id)


def name_of(attempt: Attempt, data: bytes) -> str:
    return output_name(attempt.job_id, attempt.attempt_id, output(data))


def presigner_for(settings: ArtifactsSettings) -> Presigner:
    return Presigner(
        parse_endpoint(settings.minio_endpoint, secure=False),
        bucket=settings.minio_bucket,
        region=settings.minio_region,
        access_key=settings.minio_access_key.get_secret_value(),
        secret_key=settings.minio_secret_key.get_secret_value(),
    )


async def say(bus: Bus, first: JobEvent, *more: JobEvent) -> None:
    """Events of one type, as one message: they are handled together."""
    envelopes = [
        wrap(event, event_id=f"{event.job_id}/{event.seq}", source="tests", subject=str(event.job_id), time=NOW)
        for event in (first, *more)
    ]
    await bus.publish(type(first), envelopes)


def _event(
    event_type: type[JobEvent], job_id: JobId, user: UserId, status: JobStatus, at: datetime, **more: Any
) -> Any:
    state = JobState(status=status)
    return event_type(job_id=job_id, seq=1, user_id=user, model_id=MODEL, occurred_at=at, state=state, **more)


def queued(user: UserId, input_object: str | None, job_id: JobId, *, at: datetime = NOW) -> JobQueued:
    job = JobSpec(
        job_id=job_id,
        user_id=user,
        model_id=MODEL,
        input_params={},
        input_object=None if input_object is None else ObjectName(input_object),
        requested_at=at,
    )
    return _event(JobQueued, job_id, user, JobStatus.QUEUED, at, job=job)  # type: ignore[no-any-return]  # a JobQueued


def succeeded(winner: Attempt, *, at: datetime = NOW) -> JobSucceeded:
    more = {"attempt_id": winner.attempt_id, "outputs": (), "stage_durations_ms": {}, "facts": {}}
    return _event(JobSucceeded, winner.job_id, winner.user_id, JobStatus.SUCCEEDED, at, **more)  # type: ignore[no-any-return]  # a JobSucceeded


failed = partial(_event, JobFailed, status=JobStatus.FAILED, at=NOW)
cancelled = partial(_event, JobCancelled, status=JobStatus.CANCELLED, at=NOW)

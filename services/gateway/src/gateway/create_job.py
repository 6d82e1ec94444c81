"""POST /jobs: from a request to a job that will be done.

The broker's confirm is the commit point. Before it nothing happened; from then on the job exists, whatever else fails: should
its view not be written, job.queued writes it. Hence 201 even when the database fails after the confirm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import JobId
from contracts.jobs import JobRequested, JobSpec
from gateway.artifacts_client import ArtifactsClient
from gateway.catalogue import IMAGE_PARAMETER, Catalogue, WorkOrder
from gateway.idempotency import check_key, fingerprint_of, job_id_of
from gateway.job_view import JobView, requested_view
from gateway.metrics import JOBS_CREATED, PUBLISH_BATCH
from gateway.read_jobs import ReadJobs
from gateway.request_body import JobBody
from gateway.store.job_view_writes import JobViewWriter
from gateway.user import User
from service_kit.batcher import Batcher
from service_kit.bus import Bus
from service_kit.errors import BusUnavailableError, is_operational
from service_kit.ids import new_uuid
from service_kit.problems import Problem, unavailable
from service_kit.tracing import traceparent

log = structlog.get_logger()

_MAX_BATCH = 100  # of bodies of at most 64 KiB: stays below the 16 MiB that RabbitMQ 4 takes as one message


@dataclass(frozen=True, slots=True)
class Created:
    """The job, and whether it was made by this request or by an earlier one with the same key."""

    view: JobView
    replayed: bool


class CreateJob:
    def __init__(
        self,
        *,
        bus: Bus,
        views: JobViewWriter,
        read_jobs: ReadJobs,
        artifacts: ArtifactsClient,
        catalogue: Callable[[], Catalogue],
        max_prompt_characters: int,
        republish_after_seconds: float,
    ) -> None:
        self._bus = bus
        self._views = views
        self._read_jobs = read_jobs
        self._artifacts = artifacts
        self._catalogue = catalogue
        self._max_prompt_characters = max_prompt_characters
        self._republish_after_seconds = republish_after_seconds
        # Requests of the same moment travel as one message with one confirm, and become rows in one statement.
        self._publishing: Batcher[CloudEvent[JobRequested], None] = Batcher(self._publish, max_batch=_MAX_BATCH)
        self._showing: Batcher[JobSpec, bool] = Batcher(self._show, max_batch=_MAX_BATCH)

    async def __call__(self, user: User, body: JobBody, idempotency_key: str | None) -> Created:
        """Raises 422 for a request that does not suit its model, 409 for a key used with another, 503 if nothing was done."""
        if idempotency_key is None:
            order = await self._accept(user, body)
            created = await self._request(user, JobId(new_uuid()), order)
            # job.queued may have been faster than our own insert: the row was there, yet nobody asked twice.
            return Created(created.view, replayed=False)
        return await self._create_once(user, body, check_key(idempotency_key))

    async def close(self) -> None:
        """Lets what is under way be confirmed and shown."""
        await self._publishing.close()
        await self._showing.close()

    async def _create_once(self, user: User, body: JobBody, key: str) -> Created:
        """The key is tied to its request before anything is published: of two different requests with one key, one wins.

        A claim whose job does not exist (503, crash) is taken up by the next try: the job id is the same.
        """
        job_id, fingerprint = job_id_of(user.id, key), fingerprint_of(body)
        if created := await self._replay(job_id, fingerprint):
            return created
        order = await self._accept(user, body)
        is_first = await self._views.claim(job_id, fingerprint)
        if not is_first and (created := await self._replay(job_id, fingerprint)):
            return created
        created = await self._request(user, job_id, order)
        return Created(created.view, replayed=created.replayed and not is_first)

    async def _replay(self, job_id: JobId, fingerprint: bytes) -> Created | None:
        claimed = await self._views.claimed_fingerprint(job_id)
        if claimed is None:
            return None
        if claimed != fingerprint:
            detail = "This Idempotency-Key was used before, with another body. Use a new key for a new job."
            raise Problem(409, "idempotency_key_reused", detail)
        view = await self._read_jobs.find(job_id)
        return Created(view, replayed=True) if view is not None else None

    async def _accept(self, user: User, body: JobBody) -> WorkOrder:
        order = self._catalogue().accept(body, max_prompt_characters=self._max_prompt_characters)
        if order.input_object is not None:
            pointer = f"/input_params/{IMAGE_PARAMETER}"
            await self._artifacts.check_upload(user.id, order.input_object, pointer=pointer)
        return order

    async def _request(self, user: User, job_id: JobId, order: WorkOrder) -> Created:
        job = JobSpec(
            job_id=job_id,
            user_id=user.id,
            model_id=order.entry.id,
            input_params=order.input_params,
            prompt=order.prompt,
            input_object=order.input_object,
            priority=user.priority,
            policy=order.policy,
            requested_at=datetime.now(UTC),
        )
        try:
            await self._publishing.submit(request_event(job))
        except BusUnavailableError as error:
            log.warning("gateway.job.refused", job_id=str(job_id), error=str(error))
            raise unavailable("The job could not be handed over, so it does not exist. Try again shortly.") from None
        JOBS_CREATED.labels(job.model_id).inc()
        try:
            is_new = await self._showing.submit(job)
        except Exception as error:
            if not is_operational(error):
                raise
            log.warning("gateway.job.not_shown", job_id=str(job_id), error=repr(error))
            is_new = True
        return Created(requested_view(job), replayed=not is_new)

    async def _publish(self, requests: Sequence[CloudEvent[JobRequested]]) -> list[None]:
        await self._bus.publish(JobRequested, requests)
        PUBLISH_BATCH.observe(len(requests))
        return [None] * len(requests)

    async def _show(self, jobs: Sequence[JobSpec]) -> list[bool]:
        new = await self._views.insert_requested(jobs, republish_after_seconds=self._republish_after_seconds)
        answers = []
        for job in jobs:
            answers.append(job.job_id in new)
            new.discard(job.job_id)  # of two in one batch with the same id, the first made the row
        return answers


def request_event(job: JobSpec) -> CloudEvent[JobRequested]:
    """The request in its envelope; said again, it has the same id."""
    return wrap(
        JobRequested(job=job),
        event_id=f"{job.job_id}/requested",
        source="/gateway",
        subject=str(job.job_id),
        time=job.requested_at,
        traceparent=traceparent.get(),
    )

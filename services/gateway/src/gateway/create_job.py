"""POST /jobs: from a request to a job that will be done.

The broker's confirm is the commit point. Before it nothing happened; from then on the job exists, whatever else fails: should
its view not be written, `show_jobs` keeps it and writes it later. Hence 201 even when the database fails after the confirm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import JobId, ObjectName
from contracts.jobs import JobRequested, JobSpec
from gateway.artifacts_client import ArtifactsClient
from gateway.catalogue import IMAGE_PARAMETER, Catalogue
from gateway.idempotency import check_key, fingerprint_of, job_id_of
from gateway.job_view import JobView, requested_view
from gateway.metrics import PUBLISH_BATCH, jobs_created
from gateway.read_jobs import ReadJobs
from gateway.request_body import JobBody
from gateway.show_jobs import ShowJobs
from gateway.store.idempotency_keys import Claim, IdempotencyKeys
from gateway.user import User
from service_kit.batcher import Batcher
from service_kit.bus import Bus
from service_kit.crash_points import crash_point
from service_kit.errors import BusUnavailableError
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
        keys: IdempotencyKeys,
        show_job: ShowJobs,
        read_jobs: ReadJobs,
        artifacts: ArtifactsClient,
        catalogue: Callable[[], Catalogue],
        max_prompt_characters: int,
    ) -> None:
        self._bus = bus
        self._keys = keys
        self._show_job = show_job
        self._read_jobs = read_jobs
        self._artifacts = artifacts
        self._catalogue = catalogue
        self._max_prompt_characters = max_prompt_characters
        # Requests of the same moment travel as one message with one confirm.
        self._publishing: Batcher[CloudEvent[JobRequested], None] = Batcher(self._publish, max_batch=_MAX_BATCH)

    async def __call__(self, user: User, body: JobBody, idempotency_key: str | None) -> Created:
        """Raises 422 for a request that does not suit its model, 409 for a key used with another, 503 if nothing was done."""
        if idempotency_key is None:
            created = await self._request(await self._accept(user, body, JobId(new_uuid())))
            # job.queued may have been faster than our own insert: the row was there, yet nobody asked twice.
            return Created(created.view, replayed=False)
        return await self._create_once(user, body, check_key(idempotency_key))

    async def close(self) -> None:
        """Lets what is under way be confirmed."""
        await self._publishing.close()

    async def _create_once(self, user: User, body: JobBody, key: str) -> Created:
        """The key is tied to its job before anything is published: of two requests with one key, one wins.

        A claim whose job is not known here (503, crash, lost answer) is taken up by the next try, which asks for the very same
        job, even if the catalogue has changed meanwhile: the first request may have been heard.
        """
        job_id, fingerprint = job_id_of(user.id, key), fingerprint_of(body)
        claim = await self._keys.find(job_id)
        if claim is None:
            job = await self._accept(user, body, job_id)
            if await self._keys.claim(job, fingerprint):
                crash_point("gateway.after_claim_before_publish")
                created = await self._request(job)
                return Created(created.view, replayed=False)
            claim = await self._keys.find(job_id)
        return await self._take_up(claim, user, body, job_id, fingerprint)

    async def _take_up(
        self, claim: Claim | None, user: User, body: JobBody, job_id: JobId, fingerprint: bytes
    ) -> Created:
        if claim is not None and claim.fingerprint != fingerprint:
            detail = "This Idempotency-Key was used before, with another body. Use a new key for a new job."
            raise Problem(409, "idempotency_key_reused", detail)
        view = await self._read_jobs.find(job_id)
        if view is not None:
            return Created(view, replayed=True)
        job = claim.spec if claim is not None else None
        if job is None:
            job = await self._accept(user, body, job_id)
        elif job.input_object is not None:  # it may have been removed since, and must be kept from now on
            await self._check_upload(user, job.input_object)
        return await self._request(job)

    async def _accept(self, user: User, body: JobBody, job_id: JobId) -> JobSpec:
        order = self._catalogue().accept(body, max_prompt_characters=self._max_prompt_characters)
        if order.input_object is not None:
            await self._check_upload(user, order.input_object)
        return JobSpec(
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

    async def _check_upload(self, user: User, input_object: ObjectName) -> None:
        await self._artifacts.check_upload(user.id, input_object, pointer=f"/input_params/{IMAGE_PARAMETER}")

    async def _request(self, job: JobSpec) -> Created:
        self._show_job.check_room()
        try:
            await self._publishing.submit(request_event(job))
        except BusUnavailableError as error:
            log.warning("gateway.job.refused", job_id=str(job.job_id), error=repr(error))
            # Most likely there is no job. But a confirm may be lost on its way, and then there is one.
            detail = "The job was not handed over. Try again shortly; with an Idempotency-Key it is not made twice."
            raise unavailable(detail) from None
        crash_point("gateway.after_publish_before_view")
        jobs_created(job.model_id).inc()
        is_new = await self._show_job(job)
        crash_point("gateway.after_view_before_answer")
        return Created(requested_view(job), replayed=not is_new)

    async def _publish(self, requests: Sequence[CloudEvent[JobRequested]]) -> list[None]:
        await self._bus.publish(JobRequested, requests)
        PUBLISH_BATCH.observe(len(requests))
        return [None] * len(requests)


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

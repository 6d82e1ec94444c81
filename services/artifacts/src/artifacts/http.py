"""What this service is asked over HTTP: paths and models are `contracts.artifacts_api`."""

from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter

from artifacts.check_upload import check_upload
from artifacts.grant_input import grant_input
from artifacts.grant_outputs import grant_outputs
from artifacts.issue_upload_ticket import issue_upload_ticket
from artifacts.list_job_artifacts import list_job_artifacts
from artifacts.object_store import ObjectStore
from artifacts.register_outputs import Registrar, register_outputs
from artifacts.signed_urls import SignedUrls
from artifacts.store import Store
from contracts import artifacts_api as api


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the routes work with, open as long as the app runs."""

    store: Store
    objects: ObjectStore
    registrar: Registrar
    upload_urls: SignedUrls
    download_urls: SignedUrls
    input_urls: SignedUrls
    output_urls: SignedUrls
    upload_max_bytes: int
    upload_kept_for: timedelta


def gateway_routes(needs: Dependencies) -> APIRouter:
    router = APIRouter()

    @router.post(api.UPLOAD_TICKETS_PATH, status_code=201)
    async def post_upload_ticket(request: api.UploadTicketRequest) -> api.UploadTicket:
        return await issue_upload_ticket(
            request,
            store=needs.store,
            urls=needs.upload_urls,
            max_bytes=needs.upload_max_bytes,
            kept_for=needs.upload_kept_for,
        )

    @router.post(api.UPLOAD_CHECKS_PATH)
    async def post_upload_check(request: api.UploadCheckRequest) -> api.UploadCheck:
        return await check_upload(
            request,
            store=needs.store,
            objects=needs.objects,
            max_bytes=needs.upload_max_bytes,
            kept_for=needs.upload_kept_for,
        )

    @router.post(api.JOB_ARTIFACTS_PATH)
    async def post_job_artifacts(request: api.JobArtifactsRequest) -> api.JobArtifacts:
        return await list_job_artifacts(request, store=needs.store, urls=needs.download_urls)

    return router


def worker_routes(needs: Dependencies) -> APIRouter:
    router = APIRouter()

    @router.post(api.INPUT_GRANTS_PATH)
    async def post_input_grant(request: api.InputGrantRequest) -> api.InputGrant:
        return await grant_input(request, store=needs.store, urls=needs.input_urls, kept_for=needs.upload_kept_for)

    @router.post(api.OUTPUT_GRANTS_PATH)
    async def post_output_grant(request: api.OutputGrantRequest) -> api.OutputGrant:
        return await grant_outputs(request, store=needs.store, urls=needs.output_urls)

    @router.post(api.REGISTRATIONS_PATH)
    async def post_registration(request: api.RegistrationRequest) -> api.Registration:
        return await register_outputs(request, objects=needs.objects, registrar=needs.registrar)

    return router

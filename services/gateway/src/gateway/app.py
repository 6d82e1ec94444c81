"""Puts the gateway together: the only file that names every other."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.artifacts_client import ArtifactsClient
from gateway.authenticate import Authenticate
from gateway.cancel_job import CancelJob
from gateway.create_job import CreateJob
from gateway.forget_old_jobs import ForgetOldJobs
from gateway.openapi import TITLE, describe
from gateway.present_jobs import PresentJobs
from gateway.progress import ProgressBoard
from gateway.project_events import ProjectEvents
from gateway.read_jobs import ReadJobs
from gateway.refresh_catalogue import CatalogueKeeper
from gateway.republish import republish
from gateway.routers.caller import requires_api_key
from gateway.routers.hot_routes import add_hot_routes
from gateway.routers.job_results import job_results_router
from gateway.routers.jobs import jobs_router
from gateway.routers.models import models_router
from gateway.routers.uploads import uploads_router
from gateway.served_models import ServedModels
from gateway.settings import GatewaySettings
from gateway.show_jobs import ShowJobs
from gateway.store.database import Database
from gateway.store.idempotency_keys import IdempotencyKeys
from gateway.store.job_view_writes import JobViewWriter
from gateway.store.job_views import JobViewReader
from gateway.store.models import ModelReader
from gateway.store.retention import Retention
from gateway.store.users import UserReader
from gateway.subscribers import subscribe
from service_kit.asgi import service_app
from service_kit.bus import Bus
from service_kit.health import Health, tolerating
from service_kit.ids import new_uuid
from service_kit.loops import Loop
from service_kit.startup import once_available
from service_kit.tls import https_trusting

_SHOW_KEPT_SECONDS = 1.0


def build_app(settings: GatewaySettings) -> FastAPI:
    """The gateway, ready to be served; it opens its connections when its lifespan begins."""
    parts = _Parts(settings)
    app = service_app(
        lifespan=parts.lifespan,
        health=parts.health,
        access_log=settings,
        metrics_token=settings.metrics_token,
        max_body_bytes=settings.max_body_bytes,
        title=TITLE,
    )
    _add_routes(app, parts, settings)
    describe(app)
    # Outermost, so that errors carry the headers too: a page could not read them otherwise.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials=True,
        allow_methods=["GET", "POST"],
        allow_headers=["x-api-key", "content-type", "idempotency-key", "x-request-id", "traceparent"],
        expose_headers=["x-request-id", "retry-after", "idempotent-replayed"],
        max_age=600,
    )
    return app


class _Parts:
    """Everything the gateway consists of, wired; nothing is open before `lifespan`."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._startup_patience_seconds = settings.startup_patience_seconds
        self.database = Database(settings)
        self.bus = Bus(
            settings.broker_url(),
            service="gateway",
            tls=settings.broker_tls(),
        )
        self.artifacts = ArtifactsClient(
            settings.artifacts_url,
            token=settings.artifacts_token.get_secret_value(),
            tls=https_trusting(settings.artifacts_ca_file),
            timeout_seconds=settings.artifacts_timeout_seconds,
        )
        self.views, self._writer = JobViewReader(self.database), JobViewWriter(self.database)
        self.authenticate = Authenticate(UserReader(self.database), cache_seconds=settings.api_key_cache_seconds)
        self.catalogue = CatalogueKeeper(ModelReader(self.database))
        self.served_models, progress = ServedModels(), ProgressBoard()
        self.read_jobs = ReadJobs(self.views)
        self.present_jobs = PresentJobs(self.views, progress, refresh_seconds=settings.queue_position_refresh_seconds)
        again = settings.republish_after_seconds
        self.show_jobs = ShowJobs(self._writer, republish_after_seconds=again)
        self.create_job = CreateJob(
            bus=self.bus,
            keys=IdempotencyKeys(self.database),
            show_job=self.show_jobs,
            read_jobs=self.read_jobs,
            artifacts=self.artifacts,
            catalogue=self.catalogue.current,
            max_prompt_characters=settings.max_prompt_characters,
        )
        self.cancel_job = CancelJob(self.bus, self._writer, republish_after_seconds=again)
        self.project_events = ProjectEvents(self._writer, progress, forgotten_after=settings.keep_jobs)
        subscribe(
            self.bus,
            instance=new_uuid().hex,
            project_events=self.project_events,
            progress=progress,
            served_models=self.served_models,
        )
        self._loops = self._build_loops(settings)
        self.health = Health()
        self.health.alive["consumers"] = tolerating(self.bus.is_consuming)
        self.health.ready |= {"database": self.database.ping, "bus": self.bus.ping, "catalogue": self._is_loaded}

    def _build_loops(self, settings: GatewaySettings) -> list[Loop]:
        again = settings.republish_after_seconds
        say_again = partial(republish, self._writer, self.bus, after_seconds=again)
        forget_old_jobs = ForgetOldJobs(
            Retention(self.database), keep_logs=settings.keep_logs, keep_jobs=settings.keep_jobs
        )
        return [
            Loop("gateway.catalogue", self.catalogue.refresh, interval_seconds=settings.catalogue_refresh_seconds),
            Loop("gateway.show_kept", self.show_jobs.write_kept, interval_seconds=_SHOW_KEPT_SECONDS),
            Loop("gateway.republish", say_again, interval_seconds=again / 2),
            Loop("gateway.retention", forget_old_jobs, interval_seconds=settings.retention_interval_seconds),
        ]

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Opens from the inside out, closes in the reverse order: what is under way still finds what it needs."""
        async with AsyncExitStack() as closing:
            await once_available("database", self.database.open, patience_seconds=self._startup_patience_seconds)
            closing.push_async_callback(self.database.close)
            await self.artifacts.start()
            closing.push_async_callback(self.artifacts.stop)
            closing.push_async_callback(self.project_events.close)
            closing.push_async_callback(self.show_jobs.close)
            await once_available("broker", self.bus.start, patience_seconds=self._startup_patience_seconds)
            closing.push_async_callback(self.bus.stop)
            closing.push_async_callback(self.create_job.close)
            for loop in self._loops:
                loop.start()
                closing.push_async_callback(loop.stop)
            yield
            self.health.stopping = True

    async def _is_loaded(self) -> bool:
        return self.catalogue.is_loaded


def _add_routes(app: FastAPI, parts: _Parts, settings: GatewaySettings) -> None:
    add_hot_routes(
        app.router,
        authenticate=parts.authenticate,
        create_job=parts.create_job,
        read_jobs=parts.read_jobs,
        present_jobs=parts.present_jobs,
        max_json_depth=settings.max_json_depth,
        max_prompt_characters=settings.max_prompt_characters,
    )
    jobs = jobs_router(
        read_jobs=parts.read_jobs, present_jobs=parts.present_jobs, views=parts.views, cancel_job=parts.cancel_job
    )
    uploads = uploads_router(artifacts=parts.artifacts, max_json_depth=settings.max_json_depth)
    results = job_results_router(read_jobs=parts.read_jobs, views=parts.views, artifacts=parts.artifacts)
    models = models_router(catalogue=parts.catalogue.current, served_models=parts.served_models)
    for router in (jobs, uploads, results, models):
        app.include_router(router, dependencies=[requires_api_key(parts.authenticate)])
    app.add_route("/", _to_docs, include_in_schema=False)


async def _to_docs(_request: Request) -> Response:
    return RedirectResponse("/docs")

"""Puts a worker together, starts it and stops it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import structlog
from fastapi import FastAPI

from contracts.failures import FailureCode
from contracts.ids import WorkerId
from gpu_worker.artifacts_client import ArtifactsClient
from gpu_worker.engine_guard import EngineGuard
from gpu_worker.engine_pool import EnginePool
from gpu_worker.engine_process import EngineProcess
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.held_attempts import HeldAttempts
from gpu_worker.intake import Intake
from gpu_worker.perform import Performer
from gpu_worker.progress_reports import ProgressReports
from gpu_worker.repeat_outcomes import RepeatOutcomes
from gpu_worker.reports import Reports
from gpu_worker.run_attempt import Tools
from gpu_worker.settings import GpuWorkerSettings
from gpu_worker.subscribers import subscribe
from gpu_worker.transfer import Transfer
from gpu_worker.work_folders import WorkFolders
from gpu_worker.worker_name import new_worker_id
from service_kit.asgi import service_app
from service_kit.bus import Bus
from service_kit.crash_points import crash_point
from service_kit.health import Health, tolerating
from service_kit.startup import once_available
from service_kit.tls import https_trusting

log = structlog.get_logger()

_REPORTING_SECONDS = 3.0
_FAREWELL_SECONDS = 3.0
"""How long, when stopping, the last reports and the last heartbeat may take: whoever stops us is not patient, and the leases of
what could not be handed back lapse by themselves."""


def build_app(settings: GpuWorkerSettings) -> FastAPI:
    health = Health()
    worker_id = new_worker_id()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with _tools(settings, worker_id) as tools:
            worker = Worker(settings, worker_id, tools)
            health.ready["bus"] = worker.bus.ping
            health.alive["consumers"] = tolerating(worker.bus.is_consuming)
            for intake in worker.intakes:
                health.alive[f"intake {intake.model_id}"] = tolerating(intake.is_attached)
            try:
                await worker.start()
                yield
            finally:
                health.stopping = True
                await worker.stop()

    app = service_app(
        lifespan=lifespan,
        health=health,
        access_log=settings,
        metrics_token=settings.metrics_token,
        title="gpu-worker",
        docs_url=None,
        openapi_url=None,
    )
    app.state.worker_id = worker_id
    return app


@asynccontextmanager
async def _tools(settings: GpuWorkerSettings, worker_id: WorkerId) -> AsyncIterator[Tools]:
    async with AsyncExitStack() as stack:
        folders = WorkFolders(settings.work_dir, worker_id)
        folders.open()
        stack.callback(folders.close)
        guard = EngineGuard(
            interval_seconds=settings.heartbeat_interval_seconds, lease_ttl_seconds=settings.lease_ttl_seconds
        )
        stack.push_async_callback(guard.close)
        await guard.start()
        pools = {}
        for model in settings.worker_models:
            pools[model.model_id] = EnginePool(_engine_maker(model.model_id, guard), size=model.slots)
            stack.push_async_callback(pools[model.model_id].close)
        to_artifacts = await stack.enter_async_context(_http_session(settings.artifacts_ca_file))
        to_storage = await stack.enter_async_context(_http_session(settings.storage_ca_file))
        token = settings.artifacts_token.get_secret_value()
        yield Tools(
            pools,
            ArtifactsClient(to_artifacts, base_url=str(settings.artifacts_url), token=token),
            Transfer(to_storage, max_input_bytes=settings.max_input_bytes),
            folders,
            fetch_patience_seconds=settings.fetch_patience_seconds,
            store_patience_seconds=settings.store_patience_seconds,
        )


def _http_session(ca_file: Path | None) -> aiohttp.ClientSession:
    """One for artifacts, one for the store: who may sign for the one need not be trusted with the other."""
    connector = aiohttp.TCPConnector(ssl=https_trusting(ca_file))
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class Worker:
    """The parts that talk on the bus, in the order in which they start and stop."""

    def __init__(self, settings: GpuWorkerSettings, worker_id: WorkerId, tools: Tools) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._held = HeldAttempts()
        self.bus = Bus(
            settings.broker_url(),
            service="gpu-worker",
            tls=settings.broker_tls(),
        )
        self._reports = Reports(self.bus, worker_id)
        self._heartbeat = Heartbeat(
            self.bus,
            worker_id,
            settings.worker_models,
            self._held,
            interval_seconds=settings.heartbeat_interval_seconds,
            lease_ttl_seconds=settings.lease_ttl_seconds,
        )
        self._progress = ProgressReports(
            self._held,
            self._reports,
            stage_report_after_ms=settings.stage_report_after_ms,
            progress_interval_ms=settings.progress_interval_ms,
        )
        interval_seconds = settings.heartbeat_interval_seconds
        self._repeat_outcomes = RepeatOutcomes(self._held, self._reports, interval_seconds=interval_seconds)
        performer = Performer(
            self._held,
            self._reports,
            tools,
            settings.cancel_grace_seconds,
            dear_after_seconds=settings.lease_ttl_seconds,
        )
        self.intakes = [
            Intake(self.bus, worker_id, model, performer.perform, patience_seconds=settings.claim_patience_seconds)
            for model in settings.worker_models
        ]
        subscribe(self.bus, worker_id, self._held, self._reports)

    async def start(self) -> None:
        await once_available("broker", self.bus.start, patience_seconds=self._settings.startup_patience_seconds)
        for intake in self.intakes:
            intake.start()
        # Not before the queues are there: who hears of a worker sends it work.
        self._heartbeat.start()
        self._progress.start()
        self._repeat_outcomes.start()
        models = {model.model_id: model.slots for model in self._settings.worker_models}
        log.info("gpu_worker.worker.started", worker_id=self._worker_id, models=models)

    async def stop(self) -> None:
        """Lets attempts finish for as long as the grace allows, then hands them back. Bounded also where there is no broker."""
        log.info("gpu_worker.worker.stopping", worker_id=self._worker_id, attempts=len(self._held))
        self._heartbeat.announce_stopping()
        intakes_stop = asyncio.gather(*(intake.stop() for intake in self.intakes))
        if not await self._finish(self._settings.shutdown_grace_seconds):
            await self._hand_back_attempts()
        await intakes_stop
        await self._progress.stop()
        await self._repeat_outcomes.stop()
        crash_point("gpu_worker.after_hand_back_before_farewell")
        await self._say_farewell()
        log.info("gpu_worker.worker.stopped", worker_id=self._worker_id, attempts=len(self._held))

    async def _hand_back_attempts(self) -> None:
        message = "the worker is shutting down and handed the attempt back"
        await asyncio.gather(*(attempt.stop(FailureCode.WORKER_SHUTDOWN, message) for attempt in self._held))
        if not await self._finish(_REPORTING_SECONDS):
            log.error("gpu_worker.reports.abandoned", attempts=len(self._held))
            await asyncio.gather(*(intake.abandon() for intake in self.intakes))

    async def _say_farewell(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._reports.close()
                await self._heartbeat.stop()
                await self.bus.stop()
        except TimeoutError:
            log.warning("gpu_worker.farewell.not_heard")

    async def _finish(self, timeout_seconds: float) -> bool:
        return all(await asyncio.gather(*(intake.finish(timeout_seconds) for intake in self.intakes)))


def _engine_maker(model_id: str, guard: EngineGuard) -> Callable[[], EngineProcess]:
    return lambda: EngineProcess(model_id, guard=guard)

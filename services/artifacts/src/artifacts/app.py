"""Puts the service together: the only file that names every other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from artifacts.bucket import Bucket, prepare_bucket
from artifacts.caller_tokens import CallerTokens
from artifacts.endpoint import parse_endpoint
from artifacts.http import Dependencies, gateway_routes, worker_routes
from artifacts.object_store import ObjectStore, open_session
from artifacts.presigner import Presigner
from artifacts.register_outputs import open_registrar
from artifacts.settings import ArtifactsSettings
from artifacts.signed_urls import SignedUrls
from artifacts.store import Store
from artifacts.subscribers import subscribe
from artifacts.sweep import Sweep
from artifacts.sweep_jobs import job_sweep
from artifacts.sweep_losers import loser_sweep
from artifacts.sweep_store import SweepStore
from artifacts.sweep_uploads import upload_sweep
from service_kit.asgi import service_app
from service_kit.bus import Bus
from service_kit.database import Pool, open_pool
from service_kit.health import Health, tolerating
from service_kit.loops import Loop
from service_kit.startup import once_available

_SERVICE = "artifacts"


def build_app(settings: ArtifactsSettings) -> FastAPI:
    """The service as one ASGI app. Its routes exist once what they work with is open."""
    health = Health()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await once_available(
                "database",
                partial(open_pool, settings, service=_SERVICE),
                patience_seconds=settings.startup_patience_seconds,
            )
            stack.push_async_callback(pool.close)
            needs, sweeps = await _open(settings, pool, stack), SweepStore(pool)
            bus = Bus(
                settings.broker_url(),
                service=_SERVICE,
                tls=settings.broker_tls(),
            )
            kept_for = needs.upload_kept_for
            subscribe(bus, store=needs.store, sweeps=sweeps, objects=needs.objects, inputs_kept_for=kept_for)
            stack.push_async_callback(bus.stop)
            await once_available("broker", bus.start, patience_seconds=settings.startup_patience_seconds)
            bucket = asyncio.create_task(prepare_bucket(_bucket(settings)), name="artifacts.bucket.prepare")
            stack.push_async_callback(_cancel, bucket)
            for loop in _sweeps(settings, sweeps, needs.objects):
                loop.start()
                stack.push_async_callback(loop.stop)
            app.include_router(gateway_routes(needs))
            app.include_router(worker_routes(needs))
            health.alive["consumers"] = tolerating(bus.is_consuming)
            health.ready |= {
                "database": needs.store.ping,
                "bus": bus.ping,
                "bucket": _bucket_check(bucket, needs.objects),
            }
            yield
            health.stopping = True

    tokens = {
        "/internal/gateway/": [token.get_secret_value() for token in settings.gateway_token],
        "/internal/worker/": [token.get_secret_value() for token in settings.worker_token],
    }
    return service_app(
        lifespan=lifespan,
        health=health,
        access_log=settings,
        metrics_token=settings.metrics_token,
        middleware=[Middleware(CallerTokens, tokens=tokens)],
        openapi_url=None,
    )


async def _open(settings: ArtifactsSettings, pool: Pool, stack: AsyncExitStack) -> Dependencies:
    store = Store(pool)
    session = await stack.enter_async_context(open_session(settings.minio_ca_file))
    registrar = open_registrar(store)
    stack.push_async_callback(registrar.close)
    public = _presigner(settings, settings.minio_public_endpoint or settings.minio_endpoint)
    workers = _presigner(
        settings, settings.minio_worker_endpoint or settings.minio_public_endpoint or settings.minio_endpoint
    )
    return Dependencies(
        store=store,
        objects=ObjectStore(
            session,
            _presigner(settings, settings.minio_endpoint),
            timeout_seconds=settings.storage_timeout_seconds,
        ),
        registrar=registrar,
        upload_urls=SignedUrls(public, ttl_seconds=settings.upload_ticket_ttl_seconds, kind="upload"),
        download_urls=SignedUrls(public, ttl_seconds=settings.download_ttl_seconds, kind="download"),
        input_urls=SignedUrls(workers, ttl_seconds=settings.worker_grant_ttl_seconds, kind="worker_input"),
        output_urls=SignedUrls(workers, ttl_seconds=settings.worker_grant_ttl_seconds, kind="worker_output"),
        upload_max_bytes=settings.upload_max_bytes,
        upload_kept_for=timedelta(hours=settings.upload_retention_hours),
    )


def _sweeps(settings: ArtifactsSettings, store: SweepStore, objects: ObjectStore) -> Iterator[Loop]:
    uploads_kept_for = timedelta(hours=settings.upload_retention_hours)
    yield _loop(settings, upload_sweep(store, objects))
    yield _loop(settings, loser_sweep(store, objects, kept_for=timedelta(hours=settings.loser_retention_hours)))
    if (kept_for := settings.keep_jobs) is not None:
        yield _loop(settings, job_sweep(store, objects, kept_for=kept_for, inputs_kept_for=uploads_kept_for))


def _loop(settings: ArtifactsSettings, sweep: Sweep[Any]) -> Loop:
    return Loop(f"sweep_{sweep.name}", sweep, interval_seconds=settings.retention_interval_seconds)


def _presigner(settings: ArtifactsSettings, endpoint: str) -> Presigner:
    return Presigner(
        parse_endpoint(endpoint, secure=settings.minio_secure),
        bucket=settings.minio_bucket,
        region=settings.minio_region,
        access_key=settings.minio_access_key.get_secret_value(),
        secret_key=settings.minio_secret_key.get_secret_value(),
    )


def _bucket(settings: ArtifactsSettings) -> Bucket:
    return Bucket(
        endpoint=parse_endpoint(settings.minio_endpoint, secure=settings.minio_secure),
        name=settings.minio_bucket,
        region=settings.minio_region,
        access_key=settings.minio_access_key.get_secret_value(),
        secret_key=settings.minio_secret_key.get_secret_value(),
        ca_file=settings.minio_ca_file,
        cors_origins=settings.backend_cors_origins,
    )


def _bucket_check(preparation: "asyncio.Task[None]", objects: ObjectStore) -> Callable[[], Awaitable[bool]]:
    async def bucket_is_reachable() -> bool:
        prepared = preparation.done() and preparation.exception() is None
        return prepared and await objects.bucket_exists()

    return bucket_is_reachable


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])

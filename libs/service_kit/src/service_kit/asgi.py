"""One ASGI app per service, the same from outside: health and metrics in the same place, errors as problem+json."""

import gc
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr

from service_kit.access_log import AccessLog
from service_kit.health import Health
from service_kit.logging import configure_logging
from service_kit.logging.settings import AccessLogSettings
from service_kit.metrics import BUILD_INFO
from service_kit.metrics_page import metrics_page
from service_kit.problems import answer_with_problems
from service_kit.release import release_of
from service_kit.request_context import RequestContext
from service_kit.server import GracefulServer
from service_kit.settings import ServiceSettings
from service_kit.told_lifespan import Lifespan, told
from service_kit.tracing import open_tracing


def service_app(
    *,
    lifespan: Lifespan,
    health: Health,
    access_log: AccessLogSettings | None = None,
    metrics_token: SecretStr | None = None,
    max_body_bytes: int = 1_000_000,
    **fastapi: Any,
) -> FastAPI:
    """A FastAPI app with `/health/live`, `/health/ready`, `/metrics`, problem+json and the request context."""
    app = FastAPI(lifespan=told(lifespan), redirect_slashes=False, **fastapi)
    app.state.health = health
    app.add_route("/health/live", health.live_page, include_in_schema=False)
    app.add_route("/health/ready", health.ready_page, include_in_schema=False)
    app.add_route("/metrics", metrics_page(metrics_token), include_in_schema=False)
    answer_with_problems(app)
    requests = AccessLog(access_log or AccessLogSettings())
    app.add_middleware(RequestContext, max_body_bytes=max_body_bytes, access_log=requests)
    return app


def serve(service: str, build_app: Callable[[], FastAPI], settings: ServiceSettings) -> None:
    """Runs the service until SIGTERM or SIGINT, then lets what is under way finish."""
    configure_logging(service, settings)
    BUILD_INFO.labels(service=service, version=release_of(service)).set(1)
    with open_tracing(service):
        app = build_app()
        _spare_the_garbage_collector()
        GracefulServer(app, settings, app.state.health).run()


def _spare_the_garbage_collector() -> None:
    """What is loaded by now lives as long as the process, and messages make objects by the thousand that die without cycles.

    By default all the young ones are looked at every 700 allocations, which under load is many times a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)

"""One ASGI app per service, the same from outside: health and metrics in the same place, errors as problem+json."""

import gc
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError

from service_kit.health import Health
from service_kit.logging import configure_logging
from service_kit.metrics import metrics_page
from service_kit.problems import answer_with_problems
from service_kit.request_context import RequestContext
from service_kit.server import GracefulServer
from service_kit.settings import ServiceSettings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def service_app(*, lifespan: Lifespan, health: Health, max_body_bytes: int = 1_000_000, **fastapi: Any) -> FastAPI:
    """A FastAPI app with `/health/live`, `/health/ready`, `/metrics`, problem+json and the request context."""
    app = FastAPI(lifespan=lifespan, redirect_slashes=False, **fastapi)
    app.state.health = health
    app.add_route("/health/live", health.live_page, include_in_schema=False)
    app.add_route("/health/ready", health.ready_page, include_in_schema=False)
    app.add_route("/metrics", metrics_page, include_in_schema=False)
    answer_with_problems(app)
    app.add_middleware(RequestContext, max_body_bytes=max_body_bytes)
    return app


def load_settings(settings_type: type[Any], service: str) -> Any:
    """The settings from the environment; an unusable one ends the process with a sentence per variable."""
    try:
        return settings_type()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            name = "_".join(map(str, item["loc"])).upper()
            print(f"{service}: environment variable {name}: {item['msg']}", file=sys.stderr)
        raise SystemExit(2) from None


def serve(service: str, build_app: Callable[[], FastAPI], settings: ServiceSettings) -> None:
    """Runs the service until SIGTERM or SIGINT, then lets what is under way finish."""
    configure_logging(service, settings.log_format, settings.log_level)
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

"""Tracing as long as a process runs: off, unless the environment names a collector."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from pydantic import ValidationError

from service_kit.release import release_of
from service_kit.tracing.settings import TracingSettings
from service_kit.tracing.spans import use_recorder

log = structlog.get_logger()

_FLUSH_SECONDS = 3.0
"""So long the collector is waited for when the process stops: what stops it is not patient."""


@contextmanager
def open_tracing(service: str) -> Iterator[None]:
    """Records spans in the block, for the service ``p3d-<service>`` unless the environment says otherwise; sends the last ones
    when it is left.

    Settings that cannot be used leave tracing off and are logged: a program must not fail for want of being watched.
    """
    settings = _settings()
    if settings is None or settings.endpoint is None:
        yield
        return
    # Only here, since it costs 100 ms and 10 MB which nobody who does not trace should pay.
    from service_kit.tracing.exporter import Exporter  # noqa: PLC0415  # as above
    from service_kit.tracing.sdk import sampler_and_resource  # noqa: PLC0415  # as above

    sampler, resource = sampler_and_resource(
        {
            "service.name": f"p3d-{service}",
            "service.namespace": "pipeline3d",
            "service.version": release_of(service),
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
    )
    exporter = Exporter(settings, resource, sampler)
    use_recorder(exporter)
    try:
        yield
    finally:
        use_recorder(None)
        exporter.close(_FLUSH_SECONDS)


def _settings() -> TracingSettings | None:
    try:
        return TracingSettings()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            variable = f"OTEL_{'_'.join(map(str, item['loc'])).upper()}"
            log.warning("tracing.setting.unusable", variable=variable, reason=item["msg"], tracing="off")
        return None

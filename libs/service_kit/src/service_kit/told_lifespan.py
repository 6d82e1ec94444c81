"""What a service's start or end failed of, as one line of the log."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from fastapi import FastAPI

from service_kit.errors import is_operational

log = structlog.get_logger()

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def told(lifespan: Lifespan) -> Lifespan:
    """The lifespan, whose failure is told before uvicorn ends the process with status 3: what is operational, or a wrong setting,
    in a sentence; a bug with its stack."""

    @asynccontextmanager
    async def told_lifespan(app: FastAPI) -> AsyncIterator[None]:
        started = False
        try:
            async with lifespan(app):
                started = True
                yield
        except Exception as error:
            bug = None if is_operational(error) else error
            if started:
                log.error("process.stop.failed", error=repr(error), exc_info=bug)  # noqa: TRY400  # a stack for bugs alone
            else:
                log.critical("process.start.failed", error=repr(error), exc_info=bug)
            raise

    return told_lifespan

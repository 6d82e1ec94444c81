"""Says, in one process, everything that is said without asking us: by the standard library, by Python, by asyncio, by uvicorn."""

import asyncio
import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvloop
from fastapi import FastAPI
from pydantic import SecretStr

from service_kit.asgi import serve, service_app
from service_kit.health import Health
from service_kit.logging import configure_logging
from service_kit.logging.settings import LogSettings
from service_kit.settings import ServiceSettings

SECRET = "hunter2-hunter2"


class Settings(ServiceSettings):
    rabbitmq_url: SecretStr = SecretStr(f"amqp://me:{SECRET}@nowhere")


class BrokenDestructor:
    def __del__(self) -> None:
        raise ValueError(SECRET)


async def never_retrieved() -> None:
    async def fails() -> None:
        raise LookupError(f"task {SECRET}")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)


async def never_awaited() -> None:
    asyncio.sleep(0)  # type: ignore[unused-coroutine]  # which is the point


def fail() -> None:
    raise RuntimeError(SECRET)


def everything() -> None:
    log = structlog.get_logger("ours")
    log.info("ours.thing.done", count=1, text="zwölf – ☃", path=SECRET)
    log.debug("ours.detail.told")
    logging.getLogger("aiormq.connection").error("a library says %s to %r", "this", {"password": SECRET})
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("sqlalchemy.pool").warning("a connection is in trouble")
    logging.getLogger("botocore.endpoint").debug("below what anybody asked for")
    try:
        fail()
    except RuntimeError:
        log.exception("ours.thing.failed")
    warnings.warn(f"old, and {SECRET}", UserWarning, stacklevel=1)
    loop_factory = uvloop.new_event_loop if "uvloop" in sys.argv else None
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(never_retrieved())
        runner.run(never_awaited())
    thread = threading.Thread(target=lambda: {}[SECRET], name="worker-thread")
    thread.start()
    thread.join()
    del_me = BrokenDestructor()
    del del_me
    raise KeyError(SECRET)


def start_fails() -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if "operational" in sys.argv:
            raise ConnectionRefusedError(f"nobody at amqp://me:{SECRET}@nowhere")
        raise RuntimeError(f"a bug, and {SECRET}")
        yield

    serve("gateway", lambda: service_app(lifespan=lifespan, health=Health()), Settings(port=1))


if __name__ == "__main__":
    configure_logging("noisy", LogSettings(), secrets=[SECRET])
    with contextlib.suppress(KeyboardInterrupt):
        start_fails() if "start-fails" in sys.argv else everything()

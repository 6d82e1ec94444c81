"""A service whose only route takes as long as it is told to: run as a process, to be stopped."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service_kit import server
from service_kit.asgi import serve, service_app
from service_kit.health import Health
from service_kit.settings import ServiceSettings


def build_app(hangs: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        print("starting", flush=True)
        if hangs == "refused":
            raise ConnectionRefusedError("the broker is away")
        if hangs == "starting":
            await asyncio.Event().wait()
        yield
        print("closing", flush=True)
        if hangs == "closing":
            await asyncio.Event().wait()

    app = service_app(lifespan=lifespan, health=Health())

    @app.get("/slow/{seconds}")
    async def slow(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    return app


if __name__ == "__main__":
    server._CLOSING_SECONDS = 1.0
    hangs = sys.argv[1]
    serve("slow", lambda: build_app(hangs), ServiceSettings())

"""Starting, being ready, and what is said meanwhile."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from uuid import uuid4

import pytest
from artifacts_harness import Service, eventually, migrate, serving
from yarl import URL

from artifacts.app import build_app
from artifacts.settings import ArtifactsSettings
from contracts.ids import UserId

NOWHERE = "http://127.0.0.1:1"


async def test_the_migrations_make_the_tables_as_they_are_described(database_url: str) -> None:
    await migrate(database_url, "--check")


async def test_the_service_is_ready_when_all_it_needs_answers(service: Service) -> None:
    status, body = await service.health()
    assert (status, set(body["checks"])) == (200, {"consumers", "database", "bus", "bucket"})


async def test_a_second_start_finds_the_bucket_made(
    service: Service, make_settings: Callable[..., ArtifactsSettings]
) -> None:
    async with serving(build_app(make_settings())) as second:

        async def is_ready() -> bool:
            return (await second.health())[0] == 200

        await eventually(is_ready)


async def test_without_its_store_the_service_lives_but_is_not_ready(
    make_settings: Callable[..., ArtifactsSettings],
) -> None:
    async with serving(build_app(make_settings(minio_endpoint=NOWHERE))) as service:
        status, body = await service.health()
        assert (status, body["checks"]["bucket"], body["checks"]["database"]) == (503, "failing", "ok")
        async with service.http.get(f"{service.url}/health/live") as response:
            assert response.status == 200
        user = UserId(uuid4())
        answer = await service.check(user, (await service.ticket(user)).object_name)
        assert (answer.status, answer.body["code"]) == (503, "storage_unavailable")
        assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    "metric", ["p3d_presigned_urls_total", "p3d_registered_artifacts", "p3d_output_verify_seconds"]
)
async def test_what_it_does_is_counted(service: Service, user: UserId, metric: str) -> None:
    await service.ticket(user)
    async with service.http.get(f"{service.url}/metrics") as response:
        page = await response.text()
    assert metric in page
    assert 'p3d_presigned_urls_total{kind="upload"}' in page


async def test_the_service_gets_ready_when_its_store_comes_up_later(
    make_settings: Callable[..., ArtifactsSettings],
) -> None:
    store = URL(make_settings().minio_endpoint)
    with socket.socket() as listener:
        # Bound but not yet listening: connections are refused, and nobody else can take the port.
        listener.bind(("127.0.0.1", 0))
        late = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with serving(build_app(make_settings(minio_endpoint=late))) as service:
            assert (await service.health())[1]["checks"]["bucket"] == "failing"

            async def is_ready() -> bool:
                return (await service.health())[0] == 200

            forwarder = await asyncio.start_server(partial(forward, str(store.host), store.port or 80), sock=listener)
            await eventually(is_ready)
        forwarder.close()


async def forward(host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stands for the store that came up."""
    from_store, to_store = await asyncio.open_connection(host, port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    await asyncio.gather(copy(reader, to_store), copy(from_store, writer), return_exceptions=True)

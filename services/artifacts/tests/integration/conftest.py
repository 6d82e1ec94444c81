"""One service over real PostgreSQL, RabbitMQ and S3 for all tests: they keep apart by using users and jobs of their own."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

# pytest's importlib mode puts no tests folder on the path, and a conftest cannot be imported from.
sys.path.append(str(Path(__file__).parent))

from artifacts_harness import (
    GATEWAY_TOKEN,
    MAX_BYTES,
    ORIGIN,
    WORKER_TOKEN,
    Attempt,
    Service,
    eventually,
    migrate,
    serving,
)

from artifacts.app import build_app
from artifacts.settings import ArtifactsSettings
from contracts.ids import AttemptId, JobId, UserId
from service_kit.bus import Bus
from service_kit.database import driver_url


@pytest.fixture(scope="session")
async def database_url(postgres_url: str) -> str:
    connection = await asyncpg.connect(driver_url(postgres_url))
    await connection.execute("CREATE SCHEMA IF NOT EXISTS artifacts")
    await connection.close()
    await migrate(postgres_url)
    return postgres_url


@pytest.fixture(scope="session")
def make_settings(database_url: str, rabbitmq_url: str, s3: Any) -> Callable[..., ArtifactsSettings]:
    def make(**changes: Any) -> ArtifactsSettings:
        values = {
            "database_url": database_url,
            "rabbitmq_url": rabbitmq_url,
            "gateway_token": GATEWAY_TOKEN,
            "worker_token": WORKER_TOKEN,
            "minio_endpoint": s3.endpoint,
            "minio_public_endpoint": None,
            "minio_worker_endpoint": None,
            "minio_access_key": s3.access_key,
            "minio_secret_key": s3.secret_key,
            "minio_bucket": s3.bucket,
            "backend_cors_origins": (ORIGIN,),
            "upload_max_bytes": MAX_BYTES,
        }
        return ArtifactsSettings(**(values | changes))

    return make


@pytest.fixture(scope="session")
async def service(make_settings: Callable[..., ArtifactsSettings]) -> AsyncIterator[Service]:
    async with serving(build_app(make_settings())) as running:

        async def is_ready() -> bool:
            return (await running.health())[0] == 200

        await eventually(is_ready)
        yield running


@pytest.fixture(scope="session")
async def bus(rabbitmq_url: str) -> AsyncIterator[Bus]:
    bus = Bus(rabbitmq_url, service="tests")
    await bus.start()
    yield bus
    await bus.stop()


@pytest.fixture
def user() -> UserId:
    return UserId(uuid4())


@pytest.fixture
def stranger() -> UserId:
    return UserId(uuid4())


@pytest.fixture
def attempt(user: UserId) -> Attempt:
    return Attempt(JobId(uuid4()), AttemptId(uuid4()), user)

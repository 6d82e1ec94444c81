"""One service over real PostgreSQL, RabbitMQ and S3 for all tests: they keep apart by using users and jobs of their own."""

import sys
from collections.abc import AsyncIterator
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
from artifacts_process import ArtifactsProcess, StartProcess
from retention_harness import Bucket, MakeSettings, Retention, presigner_for

from artifacts.app import build_app
from artifacts.object_store import ObjectStore, open_session
from artifacts.presigner import Presigner
from artifacts.settings import ArtifactsSettings
from contracts.ids import AttemptId, JobId, UserId
from devstack.addresses import RabbitAddress
from devstack.isolation import create_vhost, drop_vhost
from service_kit.bus import Bus
from service_kit.database import driver_url, open_pool


@pytest.fixture(scope="session")
async def database_url(postgres_url: str) -> str:
    connection = await asyncpg.connect(driver_url(postgres_url))
    await connection.execute("CREATE SCHEMA IF NOT EXISTS artifacts")
    await connection.close()
    await migrate(postgres_url)
    return postgres_url


@pytest.fixture(scope="session")
def make_settings(database_url: str, rabbitmq_url: str, s3: Any) -> MakeSettings:
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
            "retention_interval_seconds": 3600,
        }
        return ArtifactsSettings(**(values | changes))

    return make


@pytest.fixture(scope="session")
async def service(make_settings: MakeSettings) -> AsyncIterator[Service]:
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


@pytest.fixture(scope="session")
def presigner(service: Service, make_settings: MakeSettings) -> Presigner:
    """For the bucket that the service made at its start."""
    return presigner_for(make_settings())


@pytest.fixture(scope="session")
async def bucket(presigner: Presigner) -> AsyncIterator[Bucket]:
    async with open_session() as http:
        yield Bucket(http, presigner, ObjectStore(http, presigner, timeout_seconds=5))


@pytest.fixture(scope="session")
async def retention(make_settings: MakeSettings, bucket: Bucket) -> AsyncIterator[Retention]:
    pool = await open_pool(make_settings(), service="tests")
    yield Retention(pool, bucket)
    await pool.close()


@pytest.fixture
def user() -> UserId:
    return UserId(uuid4())


@pytest.fixture
def stranger() -> UserId:
    return UserId(uuid4())


@pytest.fixture
def attempt(user: UserId) -> Attempt:
    return Attempt(JobId(uuid4()), AttemptId(uuid4()), user)


@pytest.fixture
async def own_broker(rabbitmq_address: RabbitAddress) -> AsyncIterator[str]:
    """A virtual host in which no other service takes the messages."""
    own = await create_vhost(rabbitmq_address)
    yield own.url
    await drop_vhost(own)


@pytest.fixture
def start_process(make_settings: MakeSettings, own_broker: str, tmp_path: Path) -> StartProcess:
    settings = make_settings()

    def process(**environment: str) -> ArtifactsProcess:
        needed = {
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "RABBITMQ_URL": own_broker,
            "MINIO_ENDPOINT": settings.minio_endpoint,
            "MINIO_ACCESS_KEY": settings.minio_access_key.get_secret_value(),
            "MINIO_SECRET_KEY": settings.minio_secret_key.get_secret_value(),
            "MINIO_BUCKET": settings.minio_bucket,
        }
        return ArtifactsProcess(tmp_path / "artifacts.log", **(needed | environment))

    return process

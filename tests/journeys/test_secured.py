"""The whole system with a user of its own for each service and every connection to the servers encrypted."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import aiohttp
import asyncpg
import pytest
from pydantic import SecretStr
from secured_servers import SecuredServers, secured_servers
from steps import ASSETS, Raw, eventually, over, running, serves, simulated, uploaded

from artifacts.endpoint import parse_endpoint
from artifacts.errors import StorageUnavailableError
from artifacts.object_store import ObjectStore, open_session
from artifacts.presigner import Presigner
from contracts.permissions import BusUser
from contracts.topology import ORCHESTRATOR_REQUESTS, DeadLetterQueue, Exchange
from devstack.addresses import RabbitAddress
from devstack.api_client import ApiClient
from devstack.broker_users import url_as
from devstack.process_tree import descendants
from devstack.reachable import answers
from devstack.services import Service, StackSettings, Superuser, database_url
from devstack.stack import Stack
from service_kit.bus import Bus
from service_kit.database import driver_url, open_pool
from service_kit.settings import DatabaseSettings
from service_kit.startup import once_available
from service_kit.tls import UntrustedServerError, trusting

pytestmark = pytest.mark.xdist_group("secured")

_SUPERUSER = Superuser("secured", "a password nobody guesses", "secured-key-0123456789abcdef")
_NEVER = "3600"


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredServers]:
    async with secured_servers(tmp_path_factory.mktemp("secured")) as servers:
        yield servers


@pytest.fixture(scope="module")
async def stack(secured: SecuredServers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    extra = {service: secured.settings(service) for service in Service}
    # A letter that was buried must not be repeated by the gateway before the operator has sent it back.
    extra[Service.GATEWAY] |= {"REPUBLISH_AFTER_SECONDS": _NEVER}
    extra[Service.ORCHESTRATOR] |= {
        "LEASE_TTL_SECONDS": "3",
        "SWEEP_INTERVAL_SECONDS": "0.3",
        "REDISPATCH_AFTER_SECONDS": "1",
    }
    extra[Service.GPU_WORKER] |= {"HEARTBEAT_INTERVAL_SECONDS": "0.5", "LEASE_TTL_SECONDS": "3"}
    settings = StackSettings(
        state_directory=tmp_path_factory.mktemp("secured-stack"),
        superuser=_SUPERUSER,
        log_format="json",
        extra=extra,
    )
    async with Stack(secured.addresses, settings) as running_stack:
        async with ApiClient(running_stack.api_url, running_stack.api_key) as api:
            await eventually(lambda: serves(api, {"silhouette-v1", "simulated-v1"}))
        yield running_stack


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient(stack.api_url, stack.api_key) as client:
        yield client


# --- the whole system ---


async def test_a_photo_becomes_a_model_over_encrypted_connections_only(api: ApiClient, secured: SecuredServers) -> None:
    image = await uploaded(api, (ASSETS / "coffee.jpg").read_bytes(), "image/jpeg")
    job = await api.create_job("silhouette-v1", {"image_path": image})
    assert (await over(api, job["id"]))["status"] == "SUCCEEDED"
    assert (await api.fetch(await api.download_url(job["id"])))[:4] == b"glTF"
    connection = await asyncpg.connect(driver_url(secured.addresses.postgres_admin_url))
    try:
        sessions = await connection.fetch("SELECT usename, client_port FROM pg_stat_activity WHERE usename ~ '^p3d_'")
    finally:
        await connection.close()
    assert {row["usename"] for row in sessions} == {"p3d_gateway", "p3d_orchestrator", "p3d_artifacts"}
    assert {row["client_port"] for row in sessions} <= secured.to_postgres.ways_on


async def test_no_process_has_a_secret_that_it_does_not_need(
    api: ApiClient, stack: Stack, secured: SecuredServers
) -> None:
    await over(api, await simulated(api))  # its engine stays
    environments = {name: _environment_of(pid) for name in stack.names() if (pid := stack.pid(name)) is not None}
    store = secured.addresses.s3
    assert [name for name, told in environments.items() if store.secret_key in told] == ["artifacts-1"]
    assert [name for name, told in environments.items() if "postgresql" in told] == [
        "artifacts-1",
        "orchestrator-1",
        "gateway-1",
    ]
    for service in Service:
        url = secured.broker_url(service)
        assert [name for name, told in environments.items() if url in told] == [f"{service}-1"]
    worker = stack.pid("gpu_worker-1")
    assert worker is not None
    engines = [_environment_of(pid) for pid in descendants(worker)]
    assert engines
    for told in engines:
        assert not any(secret in told for secret in ("amqp", "ARTIFACTS_TOKEN", store.secret_key, "postgresql"))


def _environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


async def test_jobs_are_retried_and_cancelled_with_the_least_permissions(api: ApiClient, stack: Stack) -> None:
    cancelled, failing = await simulated(api, duration_seconds=600), await simulated(api, outcome="fail_retryable")
    await running(api, cancelled)
    async with aiohttp.ClientSession() as session:
        raw = Raw(session, f"{stack.api_url}/api/v1", stack.api_key)
        status, _, _ = await raw("POST", f"/jobs/{cancelled}/cancel")
    assert status == 202
    assert (await over(api, cancelled, within_seconds=10))["status"] == "CANCELLED"
    job = await over(api, failing)
    assert (job["status"], job["attempt"]) == ("FAILED", 3)


async def test_the_operator_sends_a_dead_letter_back_and_its_job_runs(
    api: ApiClient, stack: Stack, secured: SecuredServers
) -> None:
    await stack.stop("orchestrator-1")
    job_id = await simulated(api)
    await _bury(secured.addresses.rabbitmq_url)
    await stack.start("orchestrator-1")
    await stack.wait_ready("orchestrator-1")
    source = ORCHESTRATOR_REQUESTS.name
    assert f"{source}  " in await _operator(secured, "list")
    assert job_id in await _operator(secured, "show", source)
    assert "1 dead letter requeued" in await _operator(secured, "requeue", source, "--all")
    assert (await over(api, job_id))["status"] == "SUCCEEDED"


async def test_a_broker_that_lost_everything_is_whole_again_by_itself_users_and_all(
    api: ApiClient, secured: SecuredServers
) -> None:
    jobs = [await simulated(api, duration_seconds=2) for _ in range(8)]
    await running(api, jobs[0])
    await secured.rabbitmq.reset()
    await secured.rabbitmq.start()
    for job_id in jobs:
        assert (await over(api, job_id))["status"] == "SUCCEEDED"
    assert (await over(api, await simulated(api)))["status"] == "SUCCEEDED"


async def _bury(admin_url: str) -> None:
    """Puts the request that waits for the orchestrator among its dead letters."""
    async with await aio_pika.connect(admin_url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(ORCHESTRATOR_REQUESTS.name)
        request = await queue.get(timeout=10)
        assert request is not None
        copy = aio_pika.Message(
            request.body,
            type=request.type,
            message_id=request.message_id,
            content_type=request.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        exchange = await channel.get_exchange(Exchange.DEAD_LETTERS.value, ensure=False)
        await exchange.publish(copy, ORCHESTRATOR_REQUESTS.name)
        await request.ack()
        dead = await channel.get_queue(DeadLetterQueue(ORCHESTRATOR_REQUESTS).name)
        assert dead.declaration_result.message_count == 1


async def _operator(secured: SecuredServers, *arguments: str) -> str:
    """What the command says to an operator, who comes as his own user and encrypted as well."""
    gateways = secured.broker_url(Service.GATEWAY)
    place = gateways.rpartition("@")[2]
    operators = url_as(secured.addresses.rabbitmq_url, BusUser.OPERATOR).rpartition("@")[0].replace("amqp:", "amqps:")
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service_kit.dead_letters", *arguments),
        env={"RABBITMQ_URL": f"{operators}@{place}", "RABBITMQ_CA_FILE": str(secured.ca_file)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await command.communicate()
    assert command.returncode == 0, said
    return said.decode()


async def test_the_devstack_finds_a_broker_that_speaks_tls_only(secured: SecuredServers) -> None:
    assert await answers(RabbitAddress(url=secured.broker_url(Service.GATEWAY)))
    assert not await answers(RabbitAddress(url=secured.broker_url(Service.GATEWAY).replace("amqps", "amqp")))


# --- whom nobody should talk to ---


@pytest.mark.parametrize(
    ("host", "foreign", "reason"),
    [
        ("127.0.0.1", True, "self-signed certificate in certificate chain|unable to get local issuer certificate"),
        ("localhost", False, "not valid for 'localhost'"),
    ],
)
async def test_a_server_that_cannot_prove_who_it_is_ends_the_start_with_the_reason(
    secured: SecuredServers, host: str, foreign: bool, reason: str
) -> None:
    ca_file = secured.foreign_ca_file if foreign else secured.ca_file
    bus = Bus(secured.broker_url(Service.GATEWAY, host=host), service="gateway", tls=trusting(ca_file))
    with pytest.raises(UntrustedServerError, match=reason):
        await once_available("broker", bus.start, patience_seconds=5)
    database = DatabaseSettings(
        database_url=SecretStr(secured.database_url(Service.GATEWAY, host=host)), database_ca_file=ca_file
    )
    with pytest.raises(UntrustedServerError, match=reason):
        await once_available("database", lambda: open_pool(database, service="test"), patience_seconds=5)


async def test_a_store_that_cannot_prove_who_it_is_gets_no_request(secured: SecuredServers) -> None:
    store = secured.addresses.s3
    presigner = Presigner(
        parse_endpoint(secured.storage_endpoint, secure=True),
        bucket=store.bucket,
        region="us-east-1",
        access_key=store.access_key,
        secret_key=store.secret_key,
    )
    async with open_session(secured.foreign_ca_file) as session:
        with pytest.raises(StorageUnavailableError) as caught:
            await ObjectStore(session, presigner, timeout_seconds=5).bucket_exists()
    assert caught.value.reason == "HEAD failed: ClientConnectorCertificateError"


async def test_an_encrypted_connection_is_not_replaced_by_a_plain_one(secured: SecuredServers) -> None:
    plain = secured.broker_url(Service.GATEWAY).replace(
        str(secured.amqps_port), secured.addresses.rabbitmq_url.rpartition(":")[2].rstrip("/")
    )
    with pytest.raises((OSError, aio_pika.exceptions.AMQPError)):
        await Bus(plain, service="gateway", tls=trusting(secured.ca_file)).start()
    unencrypted = f"{database_url(secured.addresses.postgres_admin_url, Service.GATEWAY)}?sslmode=verify-full"
    database = DatabaseSettings(database_url=SecretStr(unencrypted), database_ca_file=secured.ca_file)
    with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
        await open_pool(database, service="test")

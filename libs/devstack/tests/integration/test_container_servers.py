"""The servers in containers, on a real engine. Where none answers, or has no image, the tests say so."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import docker  # type: ignore[import-untyped]  # docker-py ships no types
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from contracts.permissions import BusUser
from devstack.addresses import Address, PostgresAddress, RabbitAddress, S3Address, ServerKind
from devstack.broker_users import broker_url, prepare_broker
from devstack.containers import container_server, why_no_container
from devstack.isolation import create_vhost, drop_vhost
from devstack.reachable import answers
from devstack.state import StateDirectory
from service_kit.database import driver_url

EVERY_KIND = pytest.mark.parametrize("kind", ServerKind)


@pytest.fixture
async def state(kind: ServerKind, tmp_path: Path) -> AsyncIterator[StateDirectory]:
    if reason := await why_no_container(kind):
        pytest.skip(reason)
    with StateDirectory(tmp_path).claimed() as state:
        yield state


def containers_of(state: StateDirectory) -> list[str]:
    client = docker.from_env()
    try:
        everything = client.containers.list(all=True, filters={"label": "pipeline3d.state"})
        return [found.id for found in everything if found.labels["pipeline3d.state"].startswith(f"{state.path}:")]
    finally:
        client.close()


@EVERY_KIND
async def test_a_server_answers_until_the_block_is_left_and_nothing_of_it_stays(
    kind: ServerKind, state: StateDirectory
) -> None:
    async with container_server(kind, state, durable=False) as address:
        assert await answers(address)
        assert len(containers_of(state)) == 1
    assert not await answers(address)
    assert containers_of(state) == []


@EVERY_KIND
async def test_what_was_written_is_there_when_the_server_starts_again(kind: ServerKind, state: StateDirectory) -> None:
    async with container_server(kind, state, durable=True) as address:
        await WRITE[kind](address)
    async with container_server(kind, state, durable=True) as address:
        assert await FIND[kind](address)


@EVERY_KIND
async def test_what_a_killed_run_left_is_removed_by_the_next(kind: ServerKind, state: StateDirectory) -> None:
    killed = container_server(kind, state, durable=False)
    await killed.__aenter__()
    (left_over,) = containers_of(state)
    async with container_server(kind, state, durable=False) as address:
        assert await answers(address)
        (own,) = containers_of(state)
        assert own != left_over


@pytest.mark.parametrize("kind", [ServerKind.RABBITMQ])
async def test_services_come_as_their_own_users_to_a_virtual_host_of_their_own(
    kind: ServerKind, state: StateDirectory
) -> None:
    async with container_server(kind, state, durable=False) as address:
        assert isinstance(address, RabbitAddress)
        own = await create_vhost(address)
        await prepare_broker(own)
        async with await aio_pika.connect(broker_url(own, BusUser.ORCHESTRATOR)) as connection:
            channel = await connection.channel()
            assert await channel.get_queue("orchestrator.requests")
        await drop_vhost(own)
        with pytest.raises((aio_pika.exceptions.AMQPError, ConnectionError)):
            await aio_pika.connect(own.url)


async def _write_row(address: Address) -> None:
    assert isinstance(address, PostgresAddress)
    connection = await asyncpg.connect(driver_url(address.admin_url))
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
    await connection.close()


async def _find_row(address: Address) -> bool:
    assert isinstance(address, PostgresAddress)
    connection = await asyncpg.connect(driver_url(address.admin_url))
    answer = await connection.fetchval("SELECT answer FROM kept")
    await connection.close()
    return bool(answer == 7)


async def _write_message(address: Address) -> None:
    assert isinstance(address, RabbitAddress)
    async with await aio_pika.connect(address.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"7", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept")


async def _find_message(address: Address) -> bool:
    assert isinstance(address, RabbitAddress)
    async with await aio_pika.connect(address.url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("kept")
        found = await queue.get(timeout=60)  # it may still be looking for its leader
        return found.body == b"7"


async def _write_object(address: Address) -> None:
    async with _client(address) as client:
        await client.create_bucket(Bucket="kept")
        await client.put_object(Bucket="kept", Key="answer", Body=b"7")


async def _find_object(address: Address) -> bool:
    async with _client(address) as client:
        found = await client.get_object(Bucket="kept", Key="answer")
        return bool(await found["Body"].read() == b"7")


def _client(address: Address) -> Any:
    assert isinstance(address, S3Address)
    config = AioConfig(
        signature_version="s3v4", s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
    )
    return get_session().create_client(
        "s3",
        endpoint_url=address.endpoint,
        region_name="us-east-1",
        aws_access_key_id=address.access_key,
        aws_secret_access_key=address.secret_key,
        config=config,
    )


WRITE = {ServerKind.POSTGRES: _write_row, ServerKind.RABBITMQ: _write_message, ServerKind.S3: _write_object}
FIND = {ServerKind.POSTGRES: _find_row, ServerKind.RABBITMQ: _find_message, ServerKind.S3: _find_object}

"""Servers that are broken by intent, and come back where they were."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import asyncpg
import pytest

from contracts.permissions import BusUser
from devstack.broker_users import broker_url
from devstack.polling import until
from devstack.reachable import answers
from devstack.servers import ControlledServers, controlled_servers
from service_kit.database import driver_url


@pytest.fixture(scope="module")
async def controlled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlledServers]:
    async with controlled_servers(tmp_path_factory.mktemp("controlled")) as running:
        yield running


async def test_postgres_keeps_what_was_committed_when_it_is_killed(controlled: ControlledServers) -> None:
    url = driver_url(controlled.addresses.postgres_admin_url)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS answer")
    await controlled.postgres.kill()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT answer FROM kept")
    assert not await answers(controlled.postgres.address)
    await controlled.postgres.start()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT answer FROM kept") == 7
    await connection.close()


async def test_a_paused_postgres_answers_nothing_until_it_is_resumed(controlled: ControlledServers) -> None:
    connection = await asyncpg.connect(driver_url(controlled.addresses.postgres_admin_url))
    controlled.postgres.pause()
    answer = asyncio.create_task(connection.fetchval("SELECT 1"))
    assert await asyncio.wait({answer}, timeout=0.3) == (set(), {answer})
    controlled.postgres.resume()
    assert await answer == 1
    await connection.close()


async def test_a_stopped_store_does_not_answer_until_it_is_started_again(controlled: ControlledServers) -> None:
    await controlled.s3.stop()
    assert not await answers(controlled.s3.address)
    await controlled.s3.start()
    assert await answers(controlled.s3.address)


async def test_rabbitmq_keeps_a_durable_queue_when_it_is_killed_and_nothing_when_it_is_reset(
    controlled: ControlledServers,
) -> None:
    url = controlled.addresses.rabbitmq_url
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
    await controlled.rabbitmq.kill()
    assert not await answers(controlled.rabbitmq.address)
    await controlled.rabbitmq.start()
    assert await has_queue(url, "kept")
    await controlled.rabbitmq.reset()
    await controlled.rabbitmq.start()
    # The same users and the same virtual host, so that whoever comes back is let in; what everybody needs, and nothing else.
    assert not await has_queue(url, "kept")
    assert await has_queue(broker_url(controlled.addresses.broker, BusUser.GATEWAY), "orchestrator.requests")


async def has_queue(url: str, name: str) -> bool:
    """Waits until the node lets clients in: it listens a moment before it does."""

    async def connected() -> bool:
        try:
            connections.append(await aio_pika.connect(url, timeout=2))
        except (OSError, TimeoutError, aio_pika.exceptions.AMQPError):
            return False
        return True

    connections: list[aio_pika.abc.AbstractConnection] = []
    assert await until(connected, timeout_seconds=20)
    async with connections[0] as connection:
        channel = await connection.channel()
        try:
            await channel.get_queue(name)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True

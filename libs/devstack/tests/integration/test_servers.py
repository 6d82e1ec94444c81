"""The servers as tests and services meet them. They are shared by the run; each test takes a part of its own."""

import asyncio
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import asyncpg
import pytest

from devstack import RabbitAddress, S3Address, ServerAddresses, isolated
from devstack.isolation import create_vhost, database_name, drop_vhost
from service_kit.database import driver_url


async def test_an_isolated_part_has_an_empty_database_that_is_gone_after(servers: ServerAddresses) -> None:
    async with isolated(servers) as own:
        connection = await asyncpg.connect(driver_url(own.postgres_admin_url))
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE mine (id int)")
        # Still connected when the block is left: a test that forgets to close must not keep its database.
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(driver_url(own.postgres_admin_url))


async def test_an_isolated_database_starts_as_a_copy_of_its_template(servers: ServerAddresses) -> None:
    async with isolated(servers) as prepared:
        connection = await asyncpg.connect(driver_url(prepared.postgres_admin_url))
        await connection.execute("CREATE TABLE prepared AS SELECT 7 AS answer")
        await connection.close()
        async with isolated(servers, template=database_name(prepared.postgres_admin_url)) as own:
            connection = await asyncpg.connect(driver_url(own.postgres_admin_url))
            assert await connection.fetchval("SELECT answer FROM prepared") == 7


async def test_isolated_parts_do_not_see_each_others_queues(servers: ServerAddresses) -> None:
    async with isolated(servers) as one, isolated(servers) as other:
        async with await aio_pika.connect(one.rabbitmq_url) as connection:
            channel = await connection.channel()
            await channel.declare_queue("mine", durable=True, arguments={"x-queue-type": "quorum"})
        async with await aio_pika.connect(other.rabbitmq_url) as connection:
            channel = await connection.channel()
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
                await channel.get_queue("mine")


async def test_many_can_make_virtual_hosts_at_once(rabbitmq_address: RabbitAddress) -> None:
    made = await asyncio.gather(*(create_vhost(rabbitmq_address) for _ in range(12)))
    assert len({vhost.url for vhost in made}) == 12
    await asyncio.gather(*map(drop_vhost, made))


async def test_this_process_has_a_database_and_a_virtual_host_of_its_own(postgres_url: str, rabbitmq_url: str) -> None:
    connection = await asyncpg.connect(driver_url(postgres_url))
    assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()
    assert urlsplit(rabbitmq_url).path not in ("", "/")
    async with await aio_pika.connect(rabbitmq_url) as broker:
        await broker.channel()


async def test_the_store_refuses_who_has_no_key(s3: S3Address) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{s3.endpoint}/{s3.bucket}/x") as response:
        assert response.status == 403

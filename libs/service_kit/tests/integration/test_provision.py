"""Each service has a role and a schema of its own, and no key to another's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import asyncpg
import pytest

from devstack.databases import provision_services
from devstack.services import Service, database_url
from service_kit.database import driver_url
from service_kit.provision import provision

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ConnectAs = Callable[[Service], Awaitable[Connection]]


@pytest.fixture
async def connect_as(admin_url: str) -> AsyncIterator[ConnectAs]:
    await provision_services(admin_url)
    async with AsyncExitStack() as stack:

        async def connect(service: Service) -> Connection:
            connection = await asyncpg.connect(driver_url(database_url(admin_url, service)))
            stack.push_async_callback(connection.close)
            return connection

        yield connect


async def test_a_service_may_do_anything_in_its_own_schema(connect_as: ConnectAs) -> None:
    gateway = await connect_as(Service.GATEWAY)
    await gateway.execute("CREATE TABLE gateway.secrets (word text)")
    await gateway.execute("INSERT INTO gateway.secrets VALUES ('hush')")
    assert await gateway.fetchval("SELECT word FROM gateway.secrets") == "hush"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM gateway.secrets",
        "INSERT INTO gateway.secrets VALUES ('mine')",
        "DROP TABLE gateway.secrets",
        "CREATE TABLE gateway.mine (x int)",
        "SET ROLE p3d_gateway",
        "CREATE SCHEMA mine",
        "CREATE TABLE public.mine (x int)",
        "CREATE ROLE mine",
    ],
)
async def test_a_service_can_neither_see_nor_touch_anothers_schema(connect_as: ConnectAs, statement: str) -> None:
    gateway, orchestrator = await connect_as(Service.GATEWAY), await connect_as(Service.ORCHESTRATOR)
    await gateway.execute("CREATE TABLE gateway.secrets (word text)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await orchestrator.execute(statement)


async def test_provisioning_again_changes_nothing_that_is_there(connect_as: ConnectAs, admin_url: str) -> None:
    gateway = await connect_as(Service.GATEWAY)
    await gateway.execute("CREATE TABLE gateway.kept AS SELECT 7 AS answer")
    await provision_services(admin_url)
    assert await (await connect_as(Service.GATEWAY)).fetchval("SELECT answer FROM gateway.kept") == 7


async def test_only_services_that_exist_are_provisioned() -> None:
    with pytest.raises(ValueError, match="gatway"):
        await provision("postgresql://nowhere/", "gatway", "password")

"""Each service has a role and a schema of its own, and no key to another's."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest
from pydantic import SecretStr

from devstack.addresses import PostgresAddress
from devstack.databases import provision_services
from devstack.isolation import create_database, drop_database
from devstack.services import DATABASE_SERVICES, Service, database_url, role_password
from service_kit.database import driver_url
from service_kit.provision import AdminDatabaseSettings, provision

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
    nowhere = AdminDatabaseSettings(database_url=SecretStr("postgresql://nowhere/"))
    with pytest.raises(ValueError, match="gatway"):
        await provision(nowhere, {"gatway": "password"})


async def test_the_whole_matrix_of_roles_and_schemas(connect_as: ConnectAs) -> None:
    for service in DATABASE_SERVICES:
        connection = await connect_as(service)
        rows = await connection.fetch(
            """
            SELECT nspname, has_schema_privilege(oid, 'USAGE') AS uses, has_schema_privilege(oid, 'CREATE') AS creates
            FROM pg_namespace WHERE nspname IN ('gateway', 'orchestrator', 'artifacts', 'public')
            """
        )
        assert {row["nspname"] for row in rows if row["creates"]} == {service.value}
        assert {row["nspname"] for row in rows if row["uses"]} == {service.value, "public"}  # which is empty


async def test_a_services_role_has_no_rights_beyond_its_schema(connect_as: ConnectAs) -> None:
    for service in DATABASE_SERVICES:
        role = await (await connect_as(service)).fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
        assert role is not None
        powers = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls", "rolinherit")
        assert not any(role[power] for power in powers)
        members = await (await connect_as(service)).fetch(
            "SELECT 1 FROM pg_auth_members WHERE member = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
        )
        assert not members


async def test_runs_at_the_same_time_do_not_get_in_each_others_way(
    admin_url: str, postgres_address: PostgresAddress
) -> None:
    """In two databases of one server, and several in the same one: roles belong to the server."""
    other = await create_database(postgres_address.admin_url)
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(provision_services(url) for url in [admin_url, other] * 4))
    finally:
        await drop_database(other)
    connection = await asyncpg.connect(driver_url(database_url(admin_url, Service.ARTIFACTS)))
    await connection.close()


async def test_the_command_prepares_a_database_with_passwords_from_files(admin_url: str, tmp_path: Path) -> None:
    secrets = {
        f"database_password_{service}": f"{role_password(admin_url, service)}\n" for service in DATABASE_SERVICES
    }
    for name, content in {**secrets, "admin_database_url": f"{admin_url}\n"}.items():
        (tmp_path / name).write_text(content)
    assert await _run(SECRETS_DIR=str(tmp_path)) == (0, "")
    for service in DATABASE_SERVICES:
        connection = await asyncpg.connect(driver_url(database_url(admin_url, service)))
        await connection.close()


async def test_the_command_says_what_it_needs() -> None:
    status, said = await _run()
    assert status == 2
    assert "ADMIN_DATABASE_URL: Field required; a file admin_database_url in SECRETS_DIR does as well" in said
    status, said = await _run(ADMIN_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x")
    assert (status, said) == (
        1,
        "provision: set DATABASE_PASSWORD_GATEWAY, or put a file database_password_gateway into SECRETS_DIR\n",
    )


async def _run(**environment: str) -> tuple[int | None, str]:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service_kit.provision"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await command.communicate()
    return command.returncode, said.decode()

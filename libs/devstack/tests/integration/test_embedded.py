"""The embedded servers, started and stopped for themselves."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest

import devstack.rabbitmq
from devstack import MissingPrerequisiteError, ServerAddresses, ServerKind
from devstack.leftovers import Noted, noted_in
from devstack.polling import until
from devstack.servers import servers
from devstack.state import StateDirectory
from service_kit.database import driver_url

EMBEDDED: Mapping[str, str] = {"DEVSTACK_CONTAINERS": "0"}


def processes(state: Path) -> list[Noted]:
    return [noted for file in (state / "processes").glob("*.json") if (noted := noted_in(file))]


def stray_sockets(state: Path) -> list[Path]:
    ports = StateDirectory(state).last_ports("s3").values()
    return [socket for port in ports for socket in Path("/tmp").glob(f"seaweedfs-*{port}*")]


async def execute(addresses: ServerAddresses, statement: str) -> object:
    connection = await asyncpg.connect(driver_url(addresses.postgres_admin_url))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_stopping_leaves_no_process_and_a_second_start_finds_the_data(tmp_path: Path) -> None:
    async with servers(tmp_path, environment=EMBEDDED) as first:
        started = processes(tmp_path)
        assert len(started) == 4  # the three, and RabbitMQ's port mapper
        await execute(first, "CREATE TABLE kept AS SELECT 7 AS answer")
        ends_with_us = [noted for noted in started if noted.alive]
    assert len(ends_with_us) == 4
    assert not any(noted.alive for noted in started)
    assert stray_sockets(tmp_path) == []
    async with servers(tmp_path, {ServerKind.POSTGRES}, environment=EMBEDDED) as second:
        assert await execute(second, "SELECT answer FROM kept") == 7
        assert second.postgres_admin_url == first.postgres_admin_url


async def test_a_run_that_was_killed_is_no_obstacle_to_the_next(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys; from devstack.servers import servers\n"
        "async def main():\n"
        "    async with servers(pathlib.Path(sys.argv[1]), {'postgres', 's3'}, environment={'DEVSTACK_CONTAINERS': '0'}):\n"
        "        print('up', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert run.stdout is not None
    assert await run.stdout.readline() == b"up\n"
    left = processes(tmp_path)
    assert len(left) == 2
    # Stopped first, so that they cannot end together with the run: the worst a run can leave behind.
    for noted in left:
        os.kill(noted.pid, signal.SIGSTOP)
    run.kill()
    await run.wait()
    async with servers(tmp_path, {ServerKind.POSTGRES, ServerKind.S3}, environment=EMBEDDED) as addresses:
        assert not any(noted.alive for noted in left)
        assert await execute(addresses, "SELECT 1") == 1
    assert stray_sockets(tmp_path) == []


async def test_a_server_that_is_named_but_does_not_answer_is_replaced_by_one_that_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {**EMBEDDED, "DATABASE_URL": "postgresql+asyncpg://nobody:x@127.0.0.1:9/none"}
    with caplog.at_level("WARNING", logger="devstack"):
        async with servers(tmp_path, {ServerKind.POSTGRES}, durable=False, environment=environment) as addresses:
            assert await execute(addresses, "SELECT 1") == 1
            named = {"DATABASE_URL": addresses.postgres_admin_url}
            async with servers(tmp_path / "other", {ServerKind.POSTGRES}, environment=named) as same:
                assert same.postgres_admin_url == addresses.postgres_admin_url
    assert "DATABASE_URL names a server that does not answer" in caplog.text


async def test_a_missing_rabbitmq_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devstack.rabbitmq, "_SERVER", tmp_path / "nowhere")
    with pytest.raises(MissingPrerequisiteError, match="apt-get install rabbitmq-server"):
        async with servers(tmp_path, {ServerKind.RABBITMQ}, environment=EMBEDDED):
            pass


async def test_when_one_server_cannot_start_the_others_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devstack.rabbitmq, "_SERVER", tmp_path / "nowhere")
    with pytest.raises(MissingPrerequisiteError):
        async with servers(tmp_path, {ServerKind.RABBITMQ, ServerKind.POSTGRES}, environment=EMBEDDED):
            pass

    async def none_runs() -> bool:
        return not any(noted.alive for noted in processes(tmp_path))

    assert await until(none_runs, timeout_seconds=1)

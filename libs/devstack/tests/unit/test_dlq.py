import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack.__main__ import main
from devstack.dlq import broker_settings
from devstack.leftovers import record


@contextmanager
def running_service(root: Path, name: str, environment: dict[str, str]) -> Iterator[None]:
    """A process that was started with this environment, noted as the stack notes its services."""
    processes = root / ".state" / "up" / "services" / "processes"
    processes.mkdir(parents=True, exist_ok=True)
    script = "print('up', flush=True); import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        record(processes, name, process.pid)
        yield
        process.communicate()


def test_the_broker_is_that_of_the_running_stack(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RABBITMQ_URL=amqp://named-but-not-used/\n")
    with (
        running_service(tmp_path, "gateway-1", {"RABBITMQ_URL": "amqp://here/", "SECRET": "1"}),
        running_service(tmp_path, "gpu_worker-1", {"RABBITMQ_URL": "amqp://here/", "WORKER_MODELS": "m:1"}),
    ):
        assert broker_settings(tmp_path, {}) == {"RABBITMQ_URL": "amqp://here/", "WORKER_MODELS": "m:1"}
    assert broker_settings(tmp_path, {}) == {"RABBITMQ_URL": "amqp://named-but-not-used/"}


def test_where_services_have_users_of_their_own_it_is_the_operator_who_looks(tmp_path: Path) -> None:
    told = {"RABBITMQ_URL": "amqp://p3d-gateway:secret@127.0.0.1:5672/v"}
    (tmp_path / ".state" / "up" / "secrets").mkdir(parents=True)
    (tmp_path / ".state" / "up" / "secrets" / "rabbitmq").write_text("administrators")
    with running_service(tmp_path, "gateway-1", told):
        url = urlsplit(broker_settings(tmp_path, {})["RABBITMQ_URL"])
    assert (url.username, url.hostname, url.port, url.path) == ("p3d-operator", "127.0.0.1", 5672, "/v")
    assert url.password not in {"secret", "administrators"}


def test_the_broker_that_the_environment_names_wins(tmp_path: Path) -> None:
    with running_service(tmp_path, "gateway-1", {"RABBITMQ_URL": "amqp://here/"}):
        assert broker_settings(tmp_path, {"RABBITMQ_URL": "amqp://there/"}) == {"RABBITMQ_URL": "amqp://there/"}


def test_where_nothing_runs_one_sentence_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_URL", raising=False)
    assert main(["--root", str(tmp_path), "dlq"]) == 2
    assert "start the stack with `make up`" in capsys.readouterr().err
    assert not (tmp_path / ".state").exists()


async def test_the_arguments_reach_the_command(tmp_path: Path) -> None:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devstack", "--root", tmp_path, "dlq", "show", "orchestrator.requests", "--limit", "0"),
        env={**os.environ, "RABBITMQ_URL": "amqp://127.0.0.1:1/"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await command.communicate()
    assert command.returncode == 2
    assert "argument --limit" in said.decode()

import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from libs.devstack.tests.unit.test_dlq import running_service

from contracts.permissions import BusUser
from devstack.__main__ import main
from devstack.dlq import broker_settings


def test_the_stream_of_the_running_stack_is_read_by_its_own_user(tmp_path: Path) -> None:
    told = {"RABBITMQ_URL": "amqp://p3d-gateway:secret@127.0.0.1:5672/v"}
    (tmp_path / ".state" / "up" / "secrets").mkdir(parents=True)
    (tmp_path / ".state" / "up" / "secrets" / "rabbitmq").write_text("administrators")
    with running_service(tmp_path, "gateway-1", told):
        url = broker_settings(tmp_path, {}, BusUser.ANALYTICS)["RABBITMQ_URL"]
    assert urlsplit(url).username == "p3d-analytics"


def test_to_follow_where_nothing_runs_is_answered_by_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_URL", raising=False)
    assert main(["--root", str(tmp_path), "analytics", "follow"]) == 2
    assert "start the stack with `make up`" in capsys.readouterr().err


async def test_questions_need_no_broker(tmp_path: Path) -> None:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devstack", "--root", tmp_path, "analytics", "query", "throughput", "--json"),
        env={name: value for name, value in os.environ.items() if name != "RABBITMQ_URL"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await command.communicate()
    assert (command.returncode, said) == (0, b"[]\n")

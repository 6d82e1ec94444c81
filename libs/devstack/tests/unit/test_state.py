import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.errors import StateInUseError
from devstack.state import StateDirectory


def test_a_second_run_in_the_same_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    with (
        StateDirectory(tmp_path).claimed(),
        pytest.raises(StateInUseError, match=f"process {os.getpid()}"),
        StateDirectory(tmp_path).claimed(),
    ):
        pass


def test_the_folder_of_a_killed_run_can_be_claimed_at_once(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from devstack.state import StateDirectory\n"
        "with StateDirectory(pathlib.Path(sys.argv[1])).claimed(): print('claimed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"claimed\n"
        run.send_signal(signal.SIGKILL)
        run.wait()
    with StateDirectory(tmp_path).claimed() as state:
        assert (state.path / "lock").read_text() == str(os.getpid())


def test_a_secret_stays_the_same_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    assert state.secret("postgres") == StateDirectory(tmp_path).secret("postgres")
    assert state.secret("postgres") != state.secret("rabbitmq")
    assert (tmp_path / "secrets" / "postgres").stat().st_mode & 0o077 == 0


def test_ports_stay_the_same_until_somebody_else_takes_one(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    first = state.ports("rabbitmq", ("amqp", "epmd"))
    assert state.ports("rabbitmq", ("amqp", "epmd")) == first
    with socket.create_server(("127.0.0.1", first["amqp"])):
        assert state.ports("rabbitmq", ("amqp", "epmd"))["amqp"] != first["amqp"]

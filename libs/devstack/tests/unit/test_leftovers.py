import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.leftovers import Noted, end_leftovers, record, start_ticks


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_recorded_process_is_ended_and_forgotten(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record(tmp_path, "sleeper", sleeper.pid)
    assert end_leftovers(tmp_path) == ["sleeper"]
    assert sleeper.wait(timeout=5) == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_one_that_ignores_sigterm_is_killed_when_the_grace_is_over(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True, stdout=subprocess.PIPE) as deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        record(tmp_path, "deaf", deaf.pid)
        end_leftovers(tmp_path, grace_seconds=0.1)
        assert deaf.wait(timeout=5) == -signal.SIGKILL


def test_somebody_elses_process_that_got_the_same_pid_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    started = start_ticks(sleeper.pid)
    assert started is not None
    (tmp_path / "mine.json").write_text(Noted(pid=sleeper.pid, started=started - 1).model_dump_json())
    assert end_leftovers(tmp_path) == []
    assert sleeper.poll() is None


def test_a_half_written_record_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"pid": 12')
    assert end_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_process_of_which_only_the_exit_status_is_left_does_not_run() -> None:
    with subprocess.Popen(["true"]) as process:
        # Waits without taking the exit status away: it stays a zombie.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert start_ticks(process.pid) is None

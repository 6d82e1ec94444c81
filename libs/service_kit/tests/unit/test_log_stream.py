"""Whatever a process has to say is a line of one form on stdout: seen from outside."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "noisy_process.py"
SECRET = "hunter2-hunter2"
BY_HAND = {"timestamp", "level", "service", "event", "instance"}


async def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), *arguments,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def parsed(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def one(lines: list[dict[str, Any]], event: str) -> dict[str, Any]:
    (line,) = [line for line in lines if line["event"].startswith(event)]
    return line


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
async def lines(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    status, out, err = await run(request.param)
    assert (status, err) == (1, "")
    assert SECRET not in out
    return parsed(out)


def test_every_line_says_when_how_grave_and_whose(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert line.keys() >= BY_HAND
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
        assert line["service"] == "noisy"
        assert line["instance"].rpartition("/")[2].isdecimal()


def test_our_own_lines_carry_their_fields(lines: list[dict[str, Any]]) -> None:
    line = one(lines, "ours.thing.done")
    assert (line["level"], line["count"], line["text"], line["path"]) == ("info", 1, "zwölf – ☃", "[redacted]")
    assert "logger" not in line


def test_libraries_lines_are_put_together_and_name_their_logger(lines: list[dict[str, Any]]) -> None:
    line = one(lines, "a library says this to")
    assert (line["level"], line["logger"]) == ("error", "aiormq.connection")
    assert one(lines, "Invalid HTTP")["logger"] == "uvicorn.error"
    assert one(lines, "a connection is in trouble")["logger"] == "sqlalchemy.pool"


def test_what_nobody_asked_for_is_not_there(lines: list[dict[str, Any]]) -> None:
    assert not [line for line in lines if line["level"] == "debug"]


def test_an_exception_is_its_type_its_message_and_its_stack(lines: list[dict[str, Any]]) -> None:
    exception = one(lines, "ours.thing.failed")["exception"]
    assert (exception["type"], exception["message"]) == ("RuntimeError", "[redacted]")
    assert exception["stack"].startswith("Traceback (most recent call last):\n")


def test_an_error_of_a_task_that_nobody_awaited_is_a_line(lines: list[dict[str, Any]]) -> None:
    line = one(lines, "Task exception was never retrieved")
    assert (line["logger"], line["exception"]["type"]) == ("asyncio", "LookupError")


def test_an_error_in_a_callback_of_the_loop_is_a_line(lines: list[dict[str, Any]]) -> None:
    assert one(lines, "Exception in callback")["exception"]["type"] == "ZeroDivisionError"


def test_pythons_warnings_are_lines(lines: list[dict[str, Any]]) -> None:
    warned = {line["category"]: line for line in lines if line["event"] == "process.warning.raised"}
    assert warned.keys() == {"UserWarning", "RuntimeWarning"}
    assert "was never awaited" in warned["RuntimeWarning"]["text"]


def test_a_thread_that_dies_is_a_line(lines: list[dict[str, Any]]) -> None:
    assert one(lines, "process.thread.crashed")["thread"] == "worker-thread"


def test_an_error_in_a_destructor_is_a_line(lines: list[dict[str, Any]]) -> None:
    assert one(lines, "process.exception.ignored")["exception"]["type"] == "ValueError"


def test_what_ends_the_process_is_its_last_line(lines: list[dict[str, Any]]) -> None:
    assert (lines[-1]["event"], lines[-1]["level"]) == ("process.exception.uncaught", "critical")
    assert lines[-1]["exception"]["type"] == "KeyError"


async def test_a_start_that_fails_for_a_bug_is_told_once_with_its_stack() -> None:
    status, out, err = await run("start-fails")
    assert (status, err) == (3, "")
    assert SECRET not in out
    failed = one(parsed(out), "process.start.failed")
    assert failed["exception"]["type"] == "RuntimeError"
    assert out.count("Traceback") == 1


async def test_a_start_that_fails_for_what_is_away_is_told_in_a_sentence() -> None:
    status, out, _ = await run("start-fails", "operational")
    assert status == 3
    assert SECRET not in out
    assert "nobody at" in one(parsed(out), "process.start.failed")["error"]
    assert "Traceback" not in out


async def test_for_people_a_line_is_time_level_event_and_fields() -> None:
    _, out, err = await run(LOG_FORMAT="console")
    assert err == ""
    assert SECRET not in out
    line = next(line for line in out.splitlines() if "ours.thing.done" in line)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} info     ours\.thing\.done +count=1 text='zwölf – ☃' path=\[redacted\]", line
    )


async def test_single_loggers_may_say_more_than_the_others() -> None:
    _, out, _ = await run(LOG_LEVELS="botocore=debug, service_kit=INFO", LOG_LEVEL="error")
    lines = parsed(out)
    assert one(lines, "below what anybody asked for")["level"] == "debug"
    assert {line["event"] for line in lines if line["level"] == "warning"} == {
        "process.warning.raised"
    }  # service_kit's
    assert "ours.thing.done" not in out

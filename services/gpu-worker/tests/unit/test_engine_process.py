"""An engine's process, for real: started, used, cancelled, crashed and killed."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engines.base import EngineFailure


def ignore(_stage: Stage, _fraction: float) -> None:
    pass


def hears_no_sigterm(pid: int) -> bool:
    """Whether the process sleeps with SIGTERM blocked; while it sends a message it is blocked too, but awake."""
    status = Path(f"/proc/{pid}/status").read_text()
    return "State:\tS" in status and bool(int(status.partition("SigBlk:")[2].split()[0], 16) & 1 << signal.SIGTERM - 1)


async def test_result_and_progress_arrive(start_engine, new_request):
    engine = await start_engine("simulated-v1")
    seen = []
    result = await engine.generate(
        new_request(duration_seconds=0, steps=2), lambda stage, fraction: seen.append((stage, fraction))
    )
    assert seen == [(Stage.GENERATE, 0.5), (Stage.GENERATE, 1.0)]
    assert [output.name for output in result.outputs] == ["model.glb"]
    assert result.outputs[0].path.stat().st_size == result.facts["bytes"] == 1024


async def test_one_process_runs_attempt_after_attempt(start_engine, new_request):
    engine = await start_engine("engine_specimens:Writer")
    pids = {(await engine.generate(new_request(), ignore)).facts["pid"] for _ in range(3)}
    assert pids == {engine.pid}


async def test_an_engine_runs_one_attempt_at_a_time(start_engine, new_request):
    engine = await start_engine("simulated-v1")
    first = asyncio.create_task(engine.generate(new_request(duration_seconds=0.2), ignore))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one attempt at a time"):
        await engine.generate(new_request(), ignore)
    await first


async def test_progress_never_goes_back_and_is_thinned_out(start_engine, new_request):
    engine = await start_engine("engine_specimens:Restless")
    seen = []
    await engine.generate(new_request(), lambda stage, fraction: seen.append((stage, fraction)))
    assert len(seen) < 200
    for stage, group in itertools.groupby(seen, key=lambda entry: entry[0]):
        fractions = [fraction for _, fraction in group]
        assert fractions == sorted(fractions), stage
        assert fractions[0] == 0.0
        assert fractions[-1] == 1.0
    assert [stage for stage, _ in itertools.groupby(seen, key=lambda entry: entry[0])] == [Stage.SEGMENT, Stage.EXPORT]


async def test_a_listener_that_raises_does_not_harm_the_attempt(start_engine, new_request):
    engine = await start_engine("simulated-v1")

    def refuse(_stage: Stage, _fraction: float) -> None:
        raise ValueError("not interested")

    assert (await engine.generate(new_request(duration_seconds=0), refuse)).outputs


async def test_what_an_engine_prints_is_its_attempts_log_and_nothing_else(start_engine, new_request):
    engine = await start_engine("engine_specimens:Chatty")
    await engine.generate(new_request("one"), ignore)
    await engine.generate(new_request("two"), ignore)
    assert engine.log_tail == "attempt two\nfrom below\nno newline at the end"


async def test_an_engine_sees_no_secret_of_the_workers(start_engine, new_request, failure_of):
    secrets = {"RABBITMQ_URL": "amqp://", "ARTIFACTS_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s", "HF_TOKEN": "h"}
    engine = await start_engine(
        "engine_specimens:Environment", environment=secrets | {"CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/models"}
    )
    names = (await failure_of(engine.generate(new_request(), ignore))).message.split()
    assert not secrets.keys() & set(names)
    assert {"PATH", "CUDA_VISIBLE_DEVICES", "HF_HOME"} <= set(names)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("no-such-engine", "there is no engine 'no-such-engine'"),
        ("engine_specimens:BrokenSetup", "weights.bin is missing"),
        ("engine_specimens:DiesInSetup", "exit code 3; it last said: the driver is too old"),
        ("missing_module:Engine", "No module named 'missing_module'"),
    ],
)
async def test_an_engine_that_cannot_be_set_up_says_why(new_engine, failure_of, engine, said):
    process = new_engine(engine)
    failure = await failure_of(process.start())
    assert failure.code is FailureCode.ENGINE_UNAVAILABLE
    assert said in failure.message
    assert not process.alive


async def test_a_system_that_starts_no_process_makes_the_engine_unavailable(new_engine, failure_of, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    failure = await failure_of(new_engine("simulated-v1").start())
    assert failure.code is FailureCode.ENGINE_UNAVAILABLE
    assert "/no/such/python" in failure.message


async def test_an_engine_that_is_not_ready_in_time_is_ended(new_engine, failure_of, until, is_gone):
    process = new_engine("engine_specimens:NeverReady", setup_timeout_seconds=0.3)
    failure = await failure_of(process.start())
    assert failure.code is FailureCode.ENGINE_UNAVAILABLE
    assert "not ready within 0.3 s" in failure.message
    await until(lambda: is_gone(process.pid))


@pytest.mark.parametrize(
    ("outcome", "code", "stays"),
    [
        ("fail_fatal", FailureCode.ENGINE_FAILED, True),
        ("fail_retryable", FailureCode.ENGINE_UNAVAILABLE, True),
        ("out_of_memory", FailureCode.OUT_OF_MEMORY, False),
        ("crash", FailureCode.ENGINE_CRASHED, False),
    ],
)
async def test_each_way_to_fail_has_its_code(failed_attempt, outcome, code, stays):
    failure, engine = await failed_attempt("simulated-v1", duration_seconds=0, outcome=outcome)
    assert failure.code is code
    assert engine.alive is stays


async def test_a_crash_names_the_signal_and_shows_where(failed_attempt):
    failure, engine = await failed_attempt("simulated-v1", duration_seconds=0, outcome="crash")
    assert "SIGABRT" in failure.message
    assert "_meet_fate" in engine.log_tail


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("torch", FailureCode.OUT_OF_MEMORY, "20.00 GiB"),
        ("cuda", FailureCode.OUT_OF_MEMORY, "CUDA error"),
        ("bug", FailureCode.ENGINE_FAILED, "KeyError: 'conditioning'"),
        ("exit", FailureCode.ENGINE_FAILED, "SystemExit: cannot go on"),
    ],
)
async def test_exceptions_become_failures_and_their_traceback_goes_to_the_log(failed_attempt, how, code, said):
    failure, engine = await failed_attempt("engine_specimens:TorchLike", how)
    assert failure.code is code
    assert said in failure.message
    assert "Traceback" in engine.log_tail


async def test_an_invalid_parameter_is_named(failed_attempt):
    failure, _ = await failed_attempt("simulated-v1", steps=0)
    assert failure.code is FailureCode.INVALID_PARAMETER
    assert failure.message == "steps must be at least 1, not 0"


async def test_parameters_that_cannot_be_handed_over_leave_the_engine_warm(start_engine, new_request, failure_of):
    engine = await start_engine("simulated-v1")
    for impossible in (object(), float("nan"), "x" * 2_000_000):
        failure = await failure_of(engine.generate(new_request(steps=impossible), ignore))
        assert failure.code is FailureCode.INVALID_PARAMETER
    assert (await engine.generate(new_request(duration_seconds=0), ignore)).outputs


async def test_garbage_on_the_channel_is_skipped(start_engine, new_request):
    engine = await start_engine("engine_specimens:Garbage")
    assert (await engine.generate(new_request(), ignore)).outputs == ()


async def test_a_message_without_end_ends_the_engine_not_the_worker(failed_attempt):
    failure, engine = await failed_attempt("engine_specimens:Garbage", "endless")
    assert failure.code is FailureCode.ENGINE_CRASHED
    assert not engine.alive


@pytest.mark.parametrize(("specimen", "said"), [("Outsider", "not a file of this attempt"), ("Nonsense", "str")])
async def test_a_result_that_breaks_the_promise_fails_the_attempt(failed_attempt, specimen, said):
    failure, engine = await failed_attempt(f"engine_specimens:{specimen}")
    assert failure.code is FailureCode.ENGINE_FAILED
    assert said in failure.message
    assert engine.alive


class Started:
    """Lets a test wait until an attempt reports progress."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def __call__(self, _stage: Stage, _fraction: float) -> None:
        self.event.set()


@pytest.mark.parametrize("manners", ["lets it pass", "raises another"])
async def test_cancel_leaves_the_engine_warm(start_engine, new_request, failure_of, manners):
    engine = await start_engine("engine_specimens:Patient")
    for _ in range(2):
        started = Started()
        attempt = asyncio.create_task(engine.generate(new_request(manners), started))
        await started.event.wait()
        await engine.cancel(grace_seconds=5)
        assert (await failure_of(attempt)).code is FailureCode.CANCELLED
        assert engine.alive
        assert (new_request().output_dir / "cleaned").exists()


async def test_cancel_that_outruns_the_request_is_heard_all_the_same(start_engine, new_request, failure_of):
    engine = await start_engine("simulated-v1")
    attempt = asyncio.create_task(engine.generate(new_request(duration_seconds=60), ignore))
    await asyncio.sleep(0)
    await engine.cancel(grace_seconds=5)
    assert (await failure_of(attempt)).code is FailureCode.CANCELLED
    assert engine.alive


async def test_cancel_kills_an_engine_that_will_not_let_go(start_engine, new_request, failure_of):
    engine = await start_engine("engine_specimens:Patient")
    started = Started()
    attempt = asyncio.create_task(engine.generate(new_request("goes on"), started))
    await started.event.wait()
    await engine.cancel(grace_seconds=0.2)
    assert (await failure_of(attempt)).code is FailureCode.CANCELLED
    assert not engine.alive


async def test_cancel_kills_an_engine_that_hangs(start_engine, new_request, failure_of, until):
    engine = await start_engine("simulated-v1")
    started = Started()
    attempt = asyncio.create_task(engine.generate(new_request(outcome="hang", duration_seconds=0, steps=1), started))
    await started.event.wait()
    await until(lambda: hears_no_sigterm(engine.pid))
    await engine.cancel(grace_seconds=0.2)
    assert (await failure_of(attempt)).code is FailureCode.CANCELLED
    assert not engine.alive


async def test_cancel_of_an_idle_engine_does_nothing(start_engine, new_request):
    engine = await start_engine("simulated-v1")
    await engine.cancel(grace_seconds=1)
    os.kill(engine.pid, signal.SIGTERM)
    assert (await engine.generate(new_request(duration_seconds=0), ignore)).outputs


async def test_cancelling_the_awaiting_task_kills_the_process(start_engine, new_request, until, is_gone):
    engine = await start_engine("simulated-v1")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await engine.generate(new_request(duration_seconds=60), ignore)
    assert not engine.alive
    await until(lambda: is_gone(engine.pid))


@pytest.mark.parametrize("end", ["crash", "stop"])
async def test_what_an_engine_started_dies_with_it(start_engine, new_request, until, end, is_gone):
    engine = await start_engine("engine_specimens:Parent")
    started = Started()
    attempt = asyncio.create_task(engine.generate(new_request(end), started))
    await started.event.wait()
    grandchild = int((new_request().output_dir / "pid").read_text())
    if end == "stop":
        await engine.stop()
    expected = FailureCode.WORKER_SHUTDOWN if end == "stop" else FailureCode.ENGINE_CRASHED
    with pytest.raises(EngineFailure) as caught:
        await attempt
    assert caught.value.code is expected
    await until(lambda: is_gone(grandchild))


async def test_stop_is_quiet_and_idempotent(start_engine, new_request, failure_of, until, is_gone):
    engine = await start_engine("simulated-v1")
    await engine.stop()
    await engine.stop()
    await until(lambda: is_gone(engine.pid))
    failure = await failure_of(engine.generate(new_request(), ignore))
    assert failure.code is FailureCode.ENGINE_UNAVAILABLE


async def test_a_busy_engine_dies_with_the_worker(tmp_path: Path, until, is_gone):
    worker = """
import asyncio, os, pathlib, sys
from gpu_worker.engine_process import EngineProcess
from gpu_worker.engines.base import GenerationRequest

async def main():
    engine = EngineProcess("simulated-v1")
    await engine.start()
    request = GenerationRequest({"outcome": "hang", "duration_seconds": 0}, None, None, pathlib.Path(sys.argv[1]))
    def die(stage, fraction):
        print(engine.pid, flush=True)
        os.kill(os.getpid(), 9)
    await engine.generate(request, die)

asyncio.run(main())
"""
    finished = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", worker, str(tmp_path)], capture_output=True, timeout=20, check=False
    )
    assert finished.returncode == -signal.SIGKILL
    await until(lambda: is_gone(int(finished.stdout)))


def test_an_engine_whose_worker_died_while_it_was_being_started_does_not_begin_to_load(specimens):
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        command = [sys.executable, "-m", "gpu_worker.engine_child", "engine_specimens:NeverReady"]
        ended = subprocess.run(
            [*command, "--channel-fd", str(theirs.fileno())],
            env={"PYTHONPATH": str(specimens)},
            pass_fds=[theirs.fileno()],
            capture_output=True,
            timeout=20,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (1, b"")


def test_the_worker_imports_no_model_framework():
    program = "import sys, gpu_worker.engine_pool, gpu_worker.engines.registry; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    assert not {"numpy", "scipy", "cv2", "trimesh", "PIL", "torch"} & set(modules)


def test_the_simulated_engines_process_imports_nothing_heavy():
    program = "import sys, gpu_worker.engine_child, gpu_worker.engines.simulated; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    assert not {"numpy", "asyncio", "pydantic", "structlog"} & set(modules)

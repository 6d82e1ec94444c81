"""The worker's handle on one engine's process: start it, have it generate, cancel, stop."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TypeAlias, assert_never

import structlog
from structlog.contextvars import get_contextvars

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engine_channel import EngineChannel
from gpu_worker.engine_environment import engine_environment
from gpu_worker.engine_guard import EngineGuard
from gpu_worker.engine_messages import Done, EngineMessage, Failed, Progressed, Ready, encode_request
from gpu_worker.engine_output import EngineOutput
from gpu_worker.engines.base import EngineFailure, GenerationRequest, GenerationResult
from gpu_worker.process_group import ProcessGroup
from service_kit.logging.budget import Budget

_log = structlog.get_logger(__name__)
_ASK_AGAIN_SECONDS = 0.1
_LINES_AT_ONCE = 200
_LINES_PER_SECOND = 10
"""Of what an engine prints, for the worker's own log: enough for a page of stack, too little for a progress bar to fill it. An
attempt's `engine.log` has its last 64 KiB whatever happens here."""

OnProgress: TypeAlias = Callable[[Stage, float], None]


class EngineProcess:
    """One engine, kept warm in a process of its own. Runs one attempt at a time; once dead it stays dead."""

    def __init__(
        self,
        engine: str,
        *,
        setup_timeout_seconds: float = 600.0,
        environment: Mapping[str, str] | None = None,
        guard: EngineGuard | None = None,
    ) -> None:
        """`engine` is a name the registry knows. `environment`, by default the worker's own, is passed on as far as
        `engine_environment` allows. `guard` watches the process."""
        self.engine = engine
        self._setup_timeout_seconds = setup_timeout_seconds
        self._environment = engine_environment(os.environ if environment is None else environment)
        self._guard = guard
        self._log = _log.bind(engine=engine)
        self._output = EngineOutput(self._tell_line)
        self._lines = Budget(_LINES_AT_ONCE, _LINES_PER_SECOND)
        self._process: ProcessGroup | None = None
        self._channel: EngineChannel | None = None
        self._answer: asyncio.Future[Ready | Done] | None = None
        self._on_progress: OnProgress | None = None
        self._taken_away: EngineFailure | None = None
        """Why we are ending the running attempt: it outranks whatever the engine says from then on."""
        self._burial: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether another attempt can be given to this process."""
        return self._channel is not None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def log_tail(self) -> str:
        """The last 64 KiB of what the engine printed since the current or latest attempt began."""
        return self._output.tail

    async def start(self) -> None:
        """Start the process and wait until the engine is set up.

        Raises EngineFailure(ENGINE_UNAVAILABLE), with the engine's last words, if that fails or takes too long.
        Cancelling the awaiting task kills the process.
        """
        self._expect_answer()
        try:
            async with asyncio.timeout(self._setup_timeout_seconds):
                # In a context of its own: it outlives the attempt for which it is started, and prints for others after that.
                await asyncio.create_task(self._spawn(), context=Context())
                await self._next_answer()
        except TimeoutError:
            await self.stop()
            raise self._unavailable(f"was not ready within {self._setup_timeout_seconds:g} s") from None
        except OSError as error:
            raise self._unavailable(f"could not be started: {error}") from error
        except EngineFailure as failure:
            await self.stop()
            if failure.code is FailureCode.ENGINE_UNAVAILABLE:
                raise
            raise self._unavailable(f"could not be set up: {failure.message}") from None
        finally:
            self._answer = None

    async def generate(self, request: GenerationRequest, on_progress: OnProgress) -> GenerationResult:
        """Run one attempt; `on_progress` must not block. Raises EngineFailure for every way in which it can fail.

        Cancelling the awaiting task kills the process at once; `cancel` is the gentle way.
        """
        if self._answer is not None:
            raise RuntimeError("an engine process runs one attempt at a time")
        if self._channel is None:
            raise self._unavailable("is not running")
        self._output.clear()
        self._log = _log.bind(engine=self.engine, **get_contextvars())  # until the next: its last lines may come late
        self._on_progress = on_progress
        self._taken_away = None
        try:
            line = _encoded(request)
            self._expect_answer()
            self._channel.send(line)
            answer = await self._next_answer()
        except EngineFailure as failure:
            if failure.code is FailureCode.OUT_OF_MEMORY:
                await self.stop()  # only the end of the process surely gives its memory back
            raise
        finally:
            self._on_progress = None
        assert isinstance(answer, Done), "an engine that is running an attempt said it is ready for one"
        return _checked(answer.result, request)

    async def cancel(self, grace_seconds: float) -> None:
        """End the running attempt, whose `generate` then raises EngineFailure(CANCELLED). Does nothing when idle.

        Asks with SIGTERM, which leaves the engine warm; kills it and all it started if that takes longer than the grace.
        An attempt that succeeds in that very moment has succeeded.
        """
        answer = self._answer
        if answer is None or self._process is None:
            return
        self._taken_away = EngineFailure(FailureCode.CANCELLED, "the attempt was cancelled")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while not answer.done():  # again and again: a signal that outruns the request goes unheeded
                    self._process.terminate()
                    await asyncio.wait([answer], timeout=_ASK_AGAIN_SECONDS)
        if not answer.done():
            self._process.kill()
            await self._process.wait()

    async def stop(self, grace_seconds: float = 2.0) -> None:
        """End the process: idle, by closing its channel; busy or slow, by killing it. Idempotent.

        A running attempt's `generate` raises EngineFailure(WORKER_SHUTDOWN).
        """
        if self._process is None:
            return
        if self._taken_away is None:
            self._taken_away = EngineFailure(FailureCode.WORKER_SHUTDOWN, "the worker is shutting down")
        if self._answer is None and self._channel is not None:
            self._channel.close()
            self._channel = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self._process.wait()
        self._process.kill()
        await self._process.wait()
        self._process.close()

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as on_failure, theirs:
            on_failure.callback(ours.close)
            self._process = await ProcessGroup.start(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "gpu_worker.engine_child",
                    self.engine,
                    "--channel-fd",
                    f"{theirs.fileno()}",
                ],
                environment=self._environment | {"PYTHONUNBUFFERED": "1"},  # the last words before a crash count most
                pass_fds=[theirs.fileno()],
                on_output=self._output.feed,
                guard=self._guard,
            )
            on_failure.pop_all()
        _, channel = await asyncio.get_running_loop().create_connection(
            lambda: EngineChannel(self._on_message, self._on_closed), sock=ours
        )
        self._channel = channel

    def _expect_answer(self) -> None:
        """Before anything is said: the answer may be there before we look."""
        self._answer = asyncio.get_running_loop().create_future()

    async def _next_answer(self) -> Ready | Done:
        """What the engine answers, or EngineFailure. If nobody waits for it any more, no later attempt may get it either."""
        assert self._answer is not None
        assert self._process is not None
        try:
            return await self._answer
        except asyncio.CancelledError:
            self._process.kill()
            self._channel = None
            raise
        finally:
            self._answer = None

    def _on_message(self, message: EngineMessage) -> None:
        match message:
            case Progressed(stage, fraction):
                self._tell_progress(stage, fraction)
            case Ready() | Done():
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(message)
            case Failed(code, text):
                self._fail(EngineFailure(code, text))
            case _:
                assert_never(message)

    def _tell_line(self, line: str) -> None:
        if (more := self._lines.take()) is not None:
            self._log.info("gpu_worker.engine.printed", line=line, **more)

    def _tell_progress(self, stage: Stage, fraction: float) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(stage, fraction)
        except Exception:
            self._log.exception("gpu_worker.engine_progress.refused")

    def _fail(self, failure: EngineFailure) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._taken_away or failure)

    def _on_closed(self) -> None:
        """The channel closed, after its last message: the process died, or broke the protocol and is of no more use."""
        self._channel = None
        if self._answer is not None:
            self._burial = asyncio.ensure_future(self._bury())

    async def _bury(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        cause = self._with_last_line(_cause_of_death(self._process.return_code))
        self._fail(EngineFailure(FailureCode.ENGINE_CRASHED, cause))

    def _unavailable(self, text: str) -> EngineFailure:
        return EngineFailure(FailureCode.ENGINE_UNAVAILABLE, self._with_last_line(f"the engine {self.engine} {text}"))

    def _with_last_line(self, text: str) -> str:
        last_line = self._output.last_line
        return f"{text}; it last said: {last_line[:500]}" if last_line and last_line not in text else text


def _encoded(request: GenerationRequest) -> bytes:
    try:
        return encode_request(request)
    except (TypeError, ValueError) as error:
        raise EngineFailure(FailureCode.INVALID_PARAMETER, f"the parameters cannot be handed over: {error}") from error


def _checked(result: GenerationResult, request: GenerationRequest) -> GenerationResult:
    """The result, if every output is a file in the attempt's own folder: model code is not trusted with paths."""
    folder = request.output_dir.resolve()
    for output in result.outputs:
        if not (output.path.resolve().is_relative_to(folder) and output.path.is_file()):
            text = f"the engine named an output that is not a file of this attempt: {output.name!r:.80}"
            raise EngineFailure(FailureCode.ENGINE_FAILED, text)
    return result


def _cause_of_death(return_code: int | None) -> str:
    if return_code is None or return_code >= 0:
        return f"the engine process ended unexpectedly, with exit code {return_code}"
    try:
        name = signal.Signals(-return_code).name
    except ValueError:
        name = f"signal {-return_code}"
    hint = ", perhaps by the system for want of memory" if name == "SIGKILL" else ""
    return f"the engine process was killed by {name}{hint}"

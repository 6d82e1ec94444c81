"""An engine's own process: `python -m gpu_worker.engine_child <engine> --channel-fd <n>`.

Started by `engine_process`, which owns the other end of the channel. A crash, an out-of-memory or a hang in model code
ends here and not in the worker. Starts fast because it imports nothing heavy: the engine does.
"""

import argparse
import ctypes
import faulthandler
import math
import os
import resource
import select
import signal
import sys
import time
import traceback
from types import FrameType

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engine_messages import (
    MAX_LINE_BYTES,
    Done,
    EngineMessage,
    Failed,
    Progressed,
    Ready,
    decode_request,
    encode_message,
)
from gpu_worker.engines.base import Aborted, Engine, EngineFailure, GenerationRequest
from gpu_worker.engines.registry import create_engine

_PR_SET_PDEATHSIG = 1
_PROGRESS_INTERVAL_SECONDS = 0.05


class WorkerGone(BaseException):
    """Nobody is left to hear what this process has to say."""


class Cancellation:
    """Turns SIGTERM into `Aborted`, once, and only while an attempt is running."""

    def __init__(self) -> None:
        self.armed = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.armed:
            self.armed = False
            raise Aborted


class Channel:
    """The child's end of the socket. Lines are written whole: a cancel cannot cut one in two."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # what the engine starts must not hold the channel open
        self._lines = os.fdopen(descriptor, "rb")
        self._descriptor = descriptor

    def read_request(self) -> GenerationRequest | None:
        """The next request, or None when the worker is done with this process or gone."""
        line = self._lines.readline(MAX_LINE_BYTES)
        return decode_request(line) if line else None

    def send(self, message: EngineMessage) -> None:
        unsent = encode_message(message)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            while unsent:
                unsent = unsent[os.write(self._descriptor, unsent) :]
        except OSError as error:
            raise WorkerGone from error
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


class ProgressReporter:
    """The engine's `report`: holds it to its promise, and passes on no more than a bar needs (20 a second)."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stage: Stage | None = None
        self._fraction = 0.0
        self._sent_at = -math.inf

    def __call__(self, stage: Stage, fraction: float) -> None:
        now = time.monotonic()
        is_new_stage = stage is not self._stage
        reached = min(1.0, fraction) if fraction >= 0 else 0.0  # NaN too counts as nothing done
        if not is_new_stage and reached <= self._fraction:
            return
        if is_new_stage or reached == 1.0 or now - self._sent_at >= _PROGRESS_INTERVAL_SECONDS:
            self._channel.send(Progressed(stage, reached))
            self._sent_at = now
        self._stage, self._fraction = stage, reached


def main() -> int:
    arguments = _parse_arguments()
    _isolate(arguments.channel_fd)
    cancellation = Cancellation()
    signal.signal(signal.SIGTERM, cancellation.on_signal)
    channel = Channel(arguments.channel_fd)
    try:
        engine = _set_up(arguments.engine, channel)
        if engine is None:
            return 1
        while (request := channel.read_request()) is not None:
            outcome = _run(engine, request, channel, cancellation)
            sys.stdout.flush()
            sys.stderr.flush()
            channel.send(outcome)
    except WorkerGone:
        return 1
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", help="a name from the registry, or package.module:Class")
    parser.add_argument("--channel-fd", type=int, required=True, help="an inherited socket to the worker")
    return parser.parse_args()


def _isolate(channel_fd: int) -> None:
    """Die with the worker, leave no core file, show where a crash happened, and leave Ctrl-C to the worker."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        channel = select.poll()
        channel.register(channel_fd, 0)  # tells of a hang-up alone
        if channel.poll(0):
            sys.exit(1)  # the worker died before it could take us along
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _set_up(name: str, channel: Channel) -> Engine | None:
    """The engine, ready for attempts, or None after having said why not."""
    try:
        engine = create_engine(name)
        engine.setup()
    except Exception as error:
        traceback.print_exc()
        text = error.message if isinstance(error, EngineFailure) else _describe(error)
        channel.send(Failed(FailureCode.ENGINE_UNAVAILABLE, f"the engine {name} could not be set up: {text}"))
        return None
    channel.send(Ready())
    return engine


def _run(engine: Engine, request: GenerationRequest, channel: Channel, cancellation: Cancellation) -> Done | Failed:
    """One attempt. `Aborted` can strike anywhere while armed, even between two lines of `_generate`: hence two functions."""
    try:
        cancellation.armed = True
        try:
            return _generate(engine, request, channel)
        finally:
            cancellation.armed = False
    except Aborted:
        return Failed(FailureCode.CANCELLED, "the attempt was cancelled")


def _generate(engine: Engine, request: GenerationRequest, channel: Channel) -> Done | Failed:
    try:
        done = Done(engine.generate(request, ProgressReporter(channel)))
        encode_message(done)  # an engine that returns something else must fail here, not break the channel
    except EngineFailure as failure:
        return Failed(failure.code, failure.message)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        if _is_out_of_memory(error):
            return Failed(FailureCode.OUT_OF_MEMORY, f"the engine ran out of memory: {_describe(error)}")
        return Failed(FailureCode.ENGINE_FAILED, _describe(error))
    return done


def _is_out_of_memory(error: BaseException) -> bool:
    """Frameworks have their own: torch.OutOfMemoryError, torch's CPU allocator, CUDA libraries, cv2 (code -4)."""
    names = {base.__name__ for base in type(error).__mro__}
    text = str(error).lower()
    return (
        bool(names & {"MemoryError", "OutOfMemoryError"})
        or "out of memory" in text
        or "can't allocate memory" in text
        or (type(error).__name__ == "error" and getattr(error, "code", None) == -4)
    )


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())

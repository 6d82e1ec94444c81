import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.failures import FailureCode
from gpu_worker.engine_process import EngineProcess
from gpu_worker.engines.base import EngineFailure, GenerationRequest

PROJECT = Path(__file__).parents[4]
SPECIMENS = Path(__file__).parents[1] / "fixtures"

StartEngine = Callable[..., Awaitable[EngineProcess]]
NewRequest = Callable[..., GenerationRequest]


@pytest.fixture
def coffee() -> Path:
    """A real photo of an object on a table."""
    return PROJECT / "tests" / "assets" / "coffee.jpg"


@pytest.fixture
def cutout() -> Path:
    """The same object on a transparent background."""
    return PROJECT / "tests" / "assets" / "coffee-cutout.png"


@pytest.fixture(scope="session")
def gltf_complaints() -> Callable[..., list[str]]:
    """The Khronos validator, shared with the journeys in the project's tests folder."""
    spec = importlib.util.spec_from_file_location("khronos", PROJECT / "tests" / "gltf" / "khronos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., list[str]] = module.gltf_complaints
    return function


@pytest.fixture
def new_request(tmp_path: Path) -> NewRequest:
    """A request whose outputs go to a folder of the test's own."""

    def new(prompt: str | None = None, image: Path | None = None, **input_params: Any) -> GenerationRequest:
        folder = tmp_path / "outputs"
        folder.mkdir(exist_ok=True)
        return GenerationRequest(input_params, prompt, image, folder)

    return new


@pytest.fixture
def new_engine() -> Callable[..., EngineProcess]:
    """An engine process, not started, that finds the specimens."""

    def new(engine: str, **options: Any) -> EngineProcess:
        environment = {"PYTHONPATH": str(SPECIMENS), "PATH": os.environ["PATH"]} | options.pop("environment", {})
        return EngineProcess(engine, environment=environment, **options)

    return new


@pytest.fixture
async def start_engine(new_engine: Callable[..., EngineProcess]) -> AsyncIterator[StartEngine]:
    """Starts engine processes, and stops them when the test is over."""
    started: list[EngineProcess] = []

    async def start(engine: str, **options: Any) -> EngineProcess:
        process = new_engine(engine, **options)
        started.append(process)
        await process.start()
        return process

    yield start
    for process in started:
        await process.stop()


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Waits for a condition that has no event to wait on, five seconds at most."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def specimens() -> Path:
    """The folder of the module `engine_specimens`."""
    return SPECIMENS


@pytest.fixture(scope="session")
def is_gone() -> Callable[[int], bool]:
    """Whether no process has this id, or only one that its parent has yet to bury."""

    def gone(pid: int) -> bool:
        try:
            return " Z " in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    return gone


@pytest.fixture
def failed_attempt(start_engine: StartEngine, new_request: NewRequest) -> Callable[..., Awaitable[Any]]:
    """Runs one attempt that must fail on a new engine, and gives the failure and the engine."""

    async def run(
        engine_name: str, prompt: str | None = None, **input_params: Any
    ) -> tuple[EngineFailure, EngineProcess]:
        engine = await start_engine(engine_name)
        with pytest.raises(EngineFailure) as caught:
            await engine.generate(new_request(prompt, **input_params), lambda *_: None)
        return caught.value, engine

    return run


@pytest.fixture
def failure_of() -> Callable[[Awaitable[object]], Awaitable[EngineFailure]]:
    """Awaits something that must fail, and gives the failure."""

    async def failure(attempt: Awaitable[object]) -> EngineFailure:
        with pytest.raises(EngineFailure) as caught:
            await attempt
        assert isinstance(caught.value.code, FailureCode)
        return caught.value

    return failure

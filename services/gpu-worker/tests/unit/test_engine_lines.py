"""What an engine prints, in the worker's own log: under the attempt that it is printed for, and not without end."""

import asyncio

import pytest
import structlog
from structlog.contextvars import bound_contextvars
from structlog.testing import LogCapture

from gpu_worker.engine_pool import EnginePool


def ignore(_stage, _fraction):
    pass


@pytest.fixture
def lines():
    capture, before = LogCapture(), structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(processors=before)


async def attempt(pool, new_request, job_id, prompt):
    """In a task and with the ids of its own, as attempts are run."""

    async def run():
        with bound_contextvars(job_id=job_id):
            async with pool.acquire() as engine:
                await engine.generate(new_request(prompt), ignore)

    await asyncio.create_task(run())


async def test_a_line_is_of_the_attempt_that_runs_and_not_of_the_one_the_engine_was_started_for(
    new_engine, new_request, lines
):
    pool = EnginePool(lambda: new_engine("engine_specimens:Chatty"), size=1)
    for number in (1, 2, 3):
        await attempt(pool, new_request, f"job-{number}", f"number {number}")
    await pool.close()
    printed = [(line.get("job_id"), line["line"]) for line in lines if line["event"] == "gpu_worker.engine.printed"]
    assert [line for line in printed if "attempt" in line[1]] == [
        (f"job-{number}", f"attempt number {number}") for number in (1, 2, 3)
    ]


async def test_a_progress_bar_cannot_fill_the_log_and_the_rest_is_counted(new_engine, new_request, lines):
    pool = EnginePool(lambda: new_engine("engine_specimens:ProgressBar"), size=1)
    await attempt(pool, new_request, "job", "5000")
    async with pool.acquire() as engine:
        assert "5000/5000" in engine.log_tail  # the attempt's own log has it all the same
    await pool.close()
    printed = [line for line in lines if line["event"] == "gpu_worker.engine.printed"]
    assert 200 <= len(printed) < 400

"""Cancelling, stopping, progress and heartbeats."""

import asyncio

from worker_harness import (
    AttemptFailed,
    AttemptProgressed,
    AttemptStageChanged,
    AttemptStarted,
    AttemptSucceeded,
    task,
    until,
)

from contracts.failures import FailureCode
from contracts.ids import AttemptId
from contracts.states import Stage


async def started(orchestrator, *attempts):
    """They run, and the heartbeats name them."""
    await orchestrator.send(*attempts)
    for attempt in attempts:
        await orchestrator.hears(AttemptStarted, attempt)


async def test_a_running_attempt_is_cancelled_and_its_engine_stays_for_the_next(orchestrator, worker):
    await orchestrator.warm_up()
    attempt = task(duration_seconds=60, steps=600)
    await orchestrator.send(attempt)
    await orchestrator.hears(AttemptProgressed, attempt)
    await orchestrator.abort(attempt, worker.worker_id)
    outcome = await orchestrator.outcome(attempt, seconds=2)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.CANCELLED
    next_one = task()
    await orchestrator.send(next_one)
    outcome = await orchestrator.outcome(next_one)
    assert isinstance(outcome, AttemptSucceeded)
    assert outcome.stage_durations_ms.get(Stage.LOAD, 0) < 20  # starting another process takes longer


async def test_an_engine_that_hangs_is_killed_after_the_grace(orchestrator, worker):
    await orchestrator.warm_up()
    attempt = task(outcome="hang")
    await started(orchestrator, attempt)
    await orchestrator.hears(AttemptStageChanged, attempt)
    await orchestrator.abort(attempt, worker.worker_id)
    outcome = await orchestrator.outcome(attempt, seconds=2)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.CANCELLED


async def test_an_attempt_is_cancelled_while_it_uploads(orchestrator, worker, storage):
    storage.hold_uploads = True
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    await storage.uploading.wait()
    await orchestrator.abort(attempt, worker.worker_id)
    outcome = await orchestrator.outcome(attempt, seconds=2)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.CANCELLED
    assert storage.registered == []


async def test_the_reason_of_an_abort_becomes_the_code_of_the_failure(orchestrator, worker):
    attempt = task(duration_seconds=60)
    await started(orchestrator, attempt)
    await orchestrator.abort(attempt, worker.worker_id, FailureCode.WORKER_LOST)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_LOST


async def test_an_abort_of_a_lost_attempt_that_is_not_here_is_ignored(orchestrator, worker):
    finished, unknown, next_one = task(), task(), task()
    await orchestrator.send(finished)
    await orchestrator.outcome(finished)
    await orchestrator.abort(finished, worker.worker_id, FailureCode.WORKER_LOST)
    await orchestrator.abort(unknown, worker.worker_id, FailureCode.WORKER_LOST)
    await orchestrator.send(next_one)
    assert isinstance(await orchestrator.outcome(next_one), AttemptSucceeded)
    assert len(orchestrator.said(AttemptSucceeded, finished)) == 1
    assert orchestrator.said(AttemptFailed) == []


async def test_a_cancel_of_an_attempt_that_is_over_is_answered_with_its_outcome(orchestrator, worker):
    attempt = task()
    await orchestrator.send(attempt)
    await orchestrator.outcome(attempt)
    await orchestrator.abort(attempt, worker.worker_id)
    await until(lambda: len(orchestrator.said(AttemptSucceeded, attempt)) == 2)


async def test_a_cancel_of_an_attempt_that_never_ran_here_need_not_wait_for_the_lease(orchestrator, worker):
    unknown = task()
    await orchestrator.abort(unknown, worker.worker_id)
    outcome = await orchestrator.outcome(unknown)
    assert isinstance(outcome, AttemptFailed)
    assert (outcome.code, outcome.worker_id) == (FailureCode.CANCELLED, worker.worker_id)


async def test_long_stages_and_progress_are_told_and_progress_never_falls(orchestrator, worker):
    await orchestrator.warm_up()
    attempt = task(duration_seconds=1.0, steps=50)
    await orchestrator.send(attempt)
    await orchestrator.outcome(attempt)
    assert [change.stage for change in orchestrator.said(AttemptStageChanged, attempt)] == [Stage.GENERATE]
    percents = [progress.percent for progress in orchestrator.said(AttemptProgressed, attempt)]
    assert percents == sorted(percents)
    assert 3 <= len(percents) <= 11  # one an interval of 100 ms, at most
    assert 10 <= percents[0] < percents[-1] <= 75


async def test_heartbeats_name_models_and_every_attempt_held(orchestrator, worker):
    first = await until(lambda: orchestrator.heartbeats and orchestrator.heartbeats[0])
    assert first.worker_id == worker.worker_id
    assert [(model.model_id, model.slots) for model in first.models] == [("simulated-v1", 2)]
    assert (first.attempts, first.stopping, first.interval_seconds) == ((), False, 0.2)
    running = task(duration_seconds=60), task(duration_seconds=60)
    await started(orchestrator, *running)
    names: set[AttemptId] = {attempt.attempt_id for attempt in running}
    await until(lambda: set(orchestrator.heartbeats[-1].attempts) == names)
    await asyncio.gather(*(orchestrator.abort(attempt, worker.worker_id) for attempt in running))
    await until(lambda: orchestrator.heartbeats[-1].attempts == ())


async def test_a_stopping_worker_hands_its_attempts_back_at_once(orchestrator, stoppable_worker):
    async with stoppable_worker() as worker:
        attempt = task(duration_seconds=60)
        await started(orchestrator, attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_SHUTDOWN
    last = await until(lambda: orchestrator.heartbeats[-1].stopping and orchestrator.heartbeats[-1])
    assert last.attempts == ()
    assert list(worker.settings.work_dir.glob("[!.]*")) == []


async def test_a_stopping_worker_lets_an_attempt_finish_within_the_grace(orchestrator, stoppable_worker):
    async with stoppable_worker(shutdown_grace_seconds=10):
        attempt = task(duration_seconds=0.5)
        await started(orchestrator, attempt)
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)

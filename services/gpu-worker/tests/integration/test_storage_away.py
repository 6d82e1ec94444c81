"""The store, or the artifacts service before it, restarts, forgets, or stays away."""

import pytest
from prometheus_client import REGISTRY
from worker_harness import SIMULATED, AttemptFailed, AttemptStarted, AttemptSucceeded, task, until

from contracts.failures import FailureCode


def storing():
    return REGISTRY.get_sample_value("p3d_worker_attempts_storing", {"model": SIMULATED})


async def test_storage_that_fails_for_a_moment_is_asked_again(orchestrator, worker, storage):
    storage.refusals = [503, 500, 429, 404]
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)


async def test_outputs_wait_for_a_storage_that_restarts_while_the_lease_is_renewed(orchestrator, worker, storage):
    storage.away = True
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    await until(lambda: len(storage.requests) >= 4)  # the fourth is sent when more than a second has passed
    orchestrator.heartbeats.clear()
    await until(lambda: any(attempt.attempt_id in heartbeat.attempts for heartbeat in orchestrator.heartbeats))
    storage.away = False
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)
    assert orchestrator.story(attempt).count("AttemptStarted") == 1


async def test_storage_that_stays_away_fails_the_attempt_for_another_to_try(orchestrator, start_worker, storage):
    await start_worker(store_patience_seconds=0.3)
    storage.away = True
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.STORAGE_UNAVAILABLE
    assert outcome.code.is_retryable
    assert "0.3 s" in outcome.message
    assert "503" in outcome.message


async def test_an_input_is_waited_for_with_a_patience_of_its_own(orchestrator, start_worker, storage):
    await start_worker(fetch_patience_seconds=0.3)
    storage.away = True
    attempt = task(input_object="uploads/chair.png")
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.STORAGE_UNAVAILABLE


async def test_an_expired_url_is_replaced_by_a_new_one(orchestrator, worker, storage):
    storage.expired_grants = 1
    storage.objects["uploads/chair.png"] = b"an image"
    fetching, storing_one = task(input_object="uploads/chair.png"), task(output_bytes=2000)
    await orchestrator.send(fetching)
    assert isinstance(await orchestrator.outcome(fetching), AttemptSucceeded)
    storage.expired_grants = 1
    await orchestrator.send(storing_one)
    assert isinstance(await orchestrator.outcome(storing_one), AttemptSucceeded)


async def test_a_file_that_is_up_is_not_sent_again_because_its_registration_failed(orchestrator, worker, storage):
    storage.failing_registrations = 2
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)
    assert [request for request in storage.requests if request.startswith("PUT")] == [
        f"PUT /store/jobs/{attempt.job_id}/{attempt.attempt_id}/model.glb"
    ]


async def test_a_file_that_the_store_has_lost_is_sent_again(orchestrator, worker, storage):
    storage.forgotten_uploads = 1
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)
    assert len(storage.registered) == 1


@pytest.mark.parametrize("reason", [FailureCode.CANCELLED, FailureCode.WORKER_LOST])
async def test_an_attempt_that_waits_for_the_storage_is_aborted_at_once(orchestrator, worker, storage, reason):
    storage.away = True
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    await until(lambda: len(storage.requests) >= 3)
    await orchestrator.abort(attempt, worker.worker_id, reason)
    outcome = await orchestrator.outcome(attempt, seconds=1)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == reason


async def test_a_stopping_worker_hands_back_what_waits_for_the_storage(orchestrator, stoppable_worker, storage):
    storage.away = True
    attempt = task(output_bytes=2000)
    async with stoppable_worker():
        await orchestrator.send(attempt)
        await until(lambda: storage.requests)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.WORKER_SHUTDOWN


async def test_the_engine_goes_on_while_outputs_are_stored(orchestrator, start_worker, storage):
    await start_worker(worker_models="simulated-v1:1")
    storage.hold_uploads = True
    slow, next_one = task(output_bytes=2000), task()
    await orchestrator.send(slow)
    await storage.uploading.wait()
    await orchestrator.send(next_one)
    assert isinstance(await orchestrator.outcome(next_one), AttemptSucceeded)
    assert storage.registered == []
    assert orchestrator.said(AttemptSucceeded, slow) == []


async def test_a_worker_whose_storage_is_away_takes_no_more_than_its_bound(orchestrator, start_worker, storage):
    worker = await start_worker(worker_models="simulated-v1:2")
    await orchestrator.warm_up()
    storage.away = True
    attempts = [task(output_bytes=2000) for _ in range(10)]
    await orchestrator.send(*attempts)
    await until(lambda: storing() == 4)
    await orchestrator.waiting_tasks(6)
    assert len(orchestrator.said(AttemptStarted)) == 4
    own = worker.settings.work_dir / worker.worker_id
    assert len(list(own.rglob("model.glb"))) == 4
    storage.away = False
    for attempt in attempts:
        assert isinstance(await orchestrator.outcome(attempt), AttemptSucceeded)
    await until(lambda: storing() == 0)

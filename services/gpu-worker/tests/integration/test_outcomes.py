"""Every way in which an attempt can end."""

import hashlib

import pytest
from worker_harness import TRACEPARENT, AttemptFailed, AttemptSucceeded, task

from contracts.failures import FailureCode
from contracts.outputs import ArtifactKind
from contracts.states import Stage


async def test_an_attempt_without_files_says_started_and_succeeded_and_asks_nobody(orchestrator, worker, storage):
    await orchestrator.warm_up()
    attempt = task()
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptSucceeded)
    assert outcome.outputs == ()
    assert outcome.worker_id == worker.worker_id
    assert orchestrator.story(attempt) == ["AttemptStarted", "AttemptSucceeded"]
    assert storage.requests == []


async def test_reports_carry_stable_ids_and_the_trace_of_the_job(orchestrator, worker):
    await orchestrator.warm_up()
    attempt = task()
    await orchestrator.send(attempt)
    await orchestrator.outcome(attempt)
    assert [event.id for event in orchestrator.events] == [
        f"{attempt.attempt_id}/started",
        f"{attempt.attempt_id}/succeeded",
    ]
    for event in orchestrator.events:
        assert event.source == f"/gpu-worker/{worker.worker_id}"
        assert event.subject == str(attempt.job_id)
        assert event.traceparent == TRACEPARENT


async def test_outputs_are_uploaded_and_registered_before_success_is_said(orchestrator, worker, storage):
    attempt = task(output_bytes=300_000)
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptSucceeded)
    [model] = outcome.outputs
    stored = storage.objects[f"jobs/{attempt.job_id}/{attempt.attempt_id}/model.glb"]
    assert (model.name, model.kind, model.content_type) == ("model.glb", ArtifactKind.MODEL, "model/gltf-binary")
    assert (model.size_bytes, model.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert [request.attempt_id for request in storage.registered] == [attempt.attempt_id]
    assert storage.registered[0].user_id == attempt.user_id
    assert outcome.facts["triangles"] == 4
    assert outcome.stage_durations_ms[Stage.UPLOAD] > 0


async def test_the_input_is_fetched_before_the_engine_runs(orchestrator, worker, storage):
    storage.objects["uploads/chair.png"] = b"an image" * 100_000
    attempt = task(input_object="uploads/chair.png")
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptSucceeded)
    assert storage.requests == ["POST /internal/worker/input-grants", "GET /store/uploads/chair.png"]
    assert Stage.DOWNLOAD in outcome.stage_durations_ms


@pytest.mark.parametrize(
    ("simulated", "code"),
    [
        ("fail_fatal", FailureCode.ENGINE_FAILED),
        ("fail_retryable", FailureCode.ENGINE_UNAVAILABLE),
        ("out_of_memory", FailureCode.OUT_OF_MEMORY),
        ("crash", FailureCode.ENGINE_CRASHED),
    ],
)
async def test_a_failing_engine_fails_its_attempt_and_the_worker_lives_on(orchestrator, worker, simulated, code):
    failing, next_one = task(outcome=simulated), task()
    await orchestrator.send(failing)
    outcome = await orchestrator.outcome(failing)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == code
    assert outcome.message
    await orchestrator.send(next_one)
    assert isinstance(await orchestrator.outcome(next_one), AttemptSucceeded)


async def test_an_engine_that_hangs_holding_the_interpreter_runs_into_its_timeout(orchestrator, worker):
    hanging = task(outcome="hang", timeout_seconds=0.3)
    await orchestrator.send(hanging)
    outcome = await orchestrator.outcome(hanging)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.EXECUTION_TIMEOUT
    assert "0.3 s" in outcome.message
    next_one = task()
    await orchestrator.send(next_one)
    assert isinstance(await orchestrator.outcome(next_one), AttemptSucceeded)


async def test_a_parameter_the_engine_refuses_is_the_jobs_fault(orchestrator, worker):
    attempt = task(steps="many")
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.INVALID_PARAMETER


async def test_an_input_that_is_gone_fails_with_its_code(orchestrator, worker):
    attempt = task(input_object="uploads/gone.png")
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.INPUT_NOT_FOUND


async def test_an_empty_input_is_an_invalid_image(orchestrator, worker, storage):
    storage.objects["uploads/empty.png"] = b""
    attempt = task(input_object="uploads/empty.png")
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.INVALID_IMAGE


async def test_an_input_over_the_limit_is_refused(orchestrator, start_worker, storage):
    await start_worker(max_input_bytes=1000)
    storage.objects["uploads/large.png"] = bytes(1001)
    attempt = task(input_object="uploads/large.png")
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.code == FailureCode.IMAGE_TOO_LARGE


async def test_a_refused_token_is_named_in_the_failure(orchestrator, start_worker):
    await start_worker(artifacts_token="another-token-altogether")
    attempt = task(output_bytes=2000)
    await orchestrator.send(attempt)
    outcome = await orchestrator.outcome(attempt)
    assert isinstance(outcome, AttemptFailed)
    assert "ARTIFACTS_TOKEN" in outcome.message


async def test_nothing_is_left_in_the_work_folder(orchestrator, worker, storage):
    storage.objects["uploads/chair.png"] = b"an image"
    attempts = [
        task(output_bytes=2000, input_object="uploads/chair.png"),
        task(outcome="fail_fatal"),
        task(outcome="crash"),
    ]
    await orchestrator.send(*attempts)
    for attempt in attempts:
        await orchestrator.outcome(attempt)
    own = worker.settings.work_dir / worker.worker_id
    assert own.stat().st_mode & 0o777 == 0o700
    assert [path for path in own.rglob("*") if path.is_file()] == []

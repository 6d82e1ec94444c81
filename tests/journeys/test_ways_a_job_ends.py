"""Success, failure, retry, cancel and loss, as a front end sees them."""

import pytest
from steps import Raw, eventually, over, running, simulated

from contracts.jobs import LONGEST_TIMEOUT_SECONDS
from devstack.api_client import ApiClient, ApiProblemError
from devstack.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


async def test_a_simulated_job_delivers_exactly_the_bytes_it_was_asked_for(api: ApiClient) -> None:
    job_id = await simulated(api, output_bytes=10_000)
    assert (await over(api, job_id))["status"] == "SUCCEEDED"
    content = await api.fetch(await api.download_url(job_id))
    assert content[:4] == b"glTF"
    assert len(content) == 10_000


async def test_a_job_without_a_file_has_nothing_to_download(api: ApiClient, raw: Raw) -> None:
    job_id = await simulated(api, output_bytes=0)
    await over(api, job_id)
    status, _, problem = await raw("GET", f"/jobs/{job_id}/download")
    assert (status, problem["code"]) == (404, "file_not_found")


async def test_a_fatal_failure_is_final_at_once(api: ApiClient, raw: Raw) -> None:
    job = await over(api, await simulated(api, outcome="fail_fatal"))
    assert (job["status"], job["attempt"]) == ("FAILED", 1)
    assert job["error"]["retryable"] is False
    status, _, problem = await raw("GET", f"/jobs/{job['id']}/download")
    assert (status, problem["code"]) == (400, "not_finished")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("fail_retryable", "engine_unavailable"), ("out_of_memory", "out_of_memory"), ("crash", "engine_crashed")],
)
async def test_a_retryable_failure_is_tried_again_until_the_attempts_are_used_up(
    api: ApiClient, outcome: str, code: str
) -> None:
    job = await over(api, await simulated(api, outcome=outcome))
    assert (job["status"], job["error"]["code"]) == ("FAILED", code)
    kinds = [event["type"] for event in await api.events(job["id"])]
    assert job["attempt"] == kinds.count("job.started") == kinds.count("job.retry_scheduled") + 1 > 1


async def test_progress_rises_while_a_job_runs(api: ApiClient) -> None:
    job_id = await simulated(api, duration_seconds=2, steps=20)
    seen: list[float] = []

    async def watch() -> bool:
        job = await api.job(job_id)
        if not seen or job["progress_percent"] != seen[-1]:
            seen.append(job["progress_percent"])
        return job["status"] == "SUCCEEDED"

    await eventually(watch)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert any(0 < percent < 100 for percent in seen)


async def test_a_running_job_is_cancelled_within_two_seconds(api: ApiClient, raw: Raw) -> None:
    job_id = await simulated(api, duration_seconds=600, steps=600)
    await running(api, job_id)
    status, _, job = await raw("POST", f"/jobs/{job_id}/cancel")
    assert (status, job["cancel_requested"]) == (202, True)
    assert (await over(api, job_id, within_seconds=3))["status"] == "CANCELLED"
    status, _, job = await raw("POST", f"/jobs/{job_id}/cancel")
    assert (status, job["status"]) == (200, "CANCELLED")


async def test_an_engine_that_hangs_and_heeds_no_signal_is_cancelled_all_the_same(api: ApiClient, raw: Raw) -> None:
    job_id = await simulated(api, outcome="hang")
    await running(api, job_id)
    await raw("POST", f"/jobs/{job_id}/cancel")
    assert (await over(api, job_id, within_seconds=10))["status"] == "CANCELLED"


async def test_an_engine_that_hangs_is_stopped_at_its_execution_timeout(api: ApiClient, raw: Raw) -> None:
    params = {"duration_seconds": 0, "steps": 1, "outcome": "hang"}
    body = {"model_id": "simulated-v1", "input_params": params, "execution_timeout_seconds": 1}
    _, _, job = await raw("POST", "/jobs/", json=body)

    async def retried() -> bool:
        events = await api.events(job["id"])
        return any(event["type"] == "job.retry_scheduled" for event in events)

    await eventually(retried)
    retry = next(event for event in await api.events(job["id"]) if event["type"] == "job.retry_scheduled")
    assert retry["payload"]["failure"]["code"] == "execution_timeout"
    await raw("POST", f"/jobs/{job['id']}/cancel")
    assert (await over(api, job["id"]))["status"] == "CANCELLED"


async def test_a_job_for_a_model_nobody_serves_waits_and_cancels_at_once(api: ApiClient, raw: Raw) -> None:
    served = {model["id"]: model["served"] for model in await api.models()}
    assert served == {"silhouette-v1": True, "simulated-v1": True, "sf3d-v1": False, "dreamfusion-sd": False}
    job_ids = []
    for prompt in ("a red chair", "a blue chair"):
        status, _, job = await raw(
            "POST", "/jobs/", json={"model_id": "dreamfusion-sd", "input_params": {}, "prompt": prompt}
        )
        assert status == 201
        job_ids.append(job["id"])

    async def second_in_line() -> bool:
        return (await api.job(job_ids[1]))["queue_position"] == 2

    await eventually(second_in_line)
    for job_id in job_ids:
        await raw("POST", f"/jobs/{job_id}/cancel")
        assert (await over(api, job_id, within_seconds=3))["status"] == "CANCELLED"


async def test_a_queue_deadline_fails_a_job_that_waited_too_long(api: ApiClient, raw: Raw) -> None:
    body = {"model_id": "dreamfusion-sd", "input_params": {}, "prompt": "a chair", "queue_timeout_seconds": 0.5}
    _, _, job = await raw("POST", "/jobs/", json=body)
    job = await over(api, job["id"])
    assert (job["status"], job["error"]["code"], job["attempt"]) == ("FAILED", "queue_timeout", 0)


async def test_the_longest_deadlines_that_are_taken_are_ones_the_whole_system_can_keep(
    api: ApiClient, raw: Raw
) -> None:
    limits = {"queue_timeout_seconds": LONGEST_TIMEOUT_SECONDS, "execution_timeout_seconds": LONGEST_TIMEOUT_SECONDS}
    body = {"model_id": "simulated-v1", "input_params": {"duration_seconds": 0}} | limits
    _, _, job = await raw("POST", "/jobs/", json=body)
    assert (await over(api, job["id"]))["status"] == "SUCCEEDED"
    status, _, problem = await raw("POST", "/jobs/", json=body | {"queue_timeout_seconds": 1e300})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/queue_timeout_seconds")


async def test_the_job_of_a_killed_worker_runs_again_elsewhere(api: ApiClient, stack: Stack) -> None:
    job_id = await simulated(api, duration_seconds=4, steps=4)
    await running(api, job_id)
    await stack.kill("gpu_worker-1")
    await stack.start("gpu_worker-1")
    job = await over(api, job_id)
    assert (job["status"], job["attempt"]) == ("SUCCEEDED", 2)
    lost = next(event for event in await api.events(job_id) if event["type"] == "job.retry_scheduled")
    assert lost["payload"]["failure"]["code"] == "worker_lost"
    await api.fetch(await api.download_url(job_id))
    await stack.wait_ready()


async def test_the_cancel_of_a_job_whose_worker_is_gone_ends_with_the_lease(
    api: ApiClient, raw: Raw, stack: Stack
) -> None:
    job_id = await simulated(api, duration_seconds=600, steps=600)
    await running(api, job_id)
    await stack.kill("gpu_worker-1")
    status, _, _ = await raw("POST", f"/jobs/{job_id}/cancel")
    assert status == 202
    assert (await over(api, job_id))["status"] == "CANCELLED"
    kinds = [event["type"] for event in await api.events(job_id)]
    assert kinds[-2:] == ["job.cancelling", "job.cancelled"], "nobody ran it again"
    await stack.start("gpu_worker-1")
    await stack.wait_ready()


async def test_a_stopping_worker_hands_its_attempt_back_without_costing_the_job_a_try(
    api: ApiClient, raw: Raw, stack: Stack
) -> None:
    job_id = await simulated(api, duration_seconds=60, steps=60)
    await running(api, job_id)
    await stack.stop("gpu_worker-1")
    await stack.start("gpu_worker-1")

    async def handed_back() -> bool:
        return any(event["type"] == "job.retry_scheduled" for event in await api.events(job_id))

    await eventually(handed_back)
    event = next(event for event in await api.events(job_id) if event["type"] == "job.retry_scheduled")
    assert event["payload"]["failure"]["code"] == "worker_shutdown"
    await running(api, job_id)
    await raw("POST", f"/jobs/{job_id}/cancel")
    assert (await over(api, job_id))["status"] == "CANCELLED"
    await stack.wait_ready()


async def test_every_service_may_be_restarted_while_jobs_run(api: ApiClient, stack: Stack) -> None:
    job_ids = [await simulated(api, duration_seconds=0.2) for _ in range(10)]
    for name in ("orchestrator-1", "artifacts-1", "gateway-1"):
        await stack.kill(name)
        await stack.start(name)
        await stack.wait_ready(name)
    for job_id in job_ids:
        assert (await over(api, job_id))["status"] == "SUCCEEDED"


async def test_somebody_elses_job_is_not_to_be_seen(raw: Raw) -> None:
    status, _, problem = await raw("GET", "/jobs/00000000-0000-7000-8000-000000000000")
    assert (status, problem["code"]) == (404, "job_not_found")
    status, _, problem = await raw("GET", "/jobs", headers={"x-api-key": "not a key"})
    assert (status, problem["code"]) == (401, "unauthorized")


async def test_the_same_idempotency_key_makes_one_job(raw: Raw, api: ApiClient) -> None:
    body = {"model_id": "simulated-v1", "input_params": {"duration_seconds": 0}}
    key = {"Idempotency-Key": "journey-1"}
    first, _, job = await raw("POST", "/jobs/", json=body, headers=key)
    again, headers, same = await raw("POST", "/jobs", json=body, headers=key)
    assert (first, again, headers["Idempotent-Replayed"], same["id"]) == (201, 200, "true", job["id"])
    other, _, _ = await raw("POST", "/jobs/", json=body | {"input_params": {"steps": 3}}, headers=key)
    assert other == 409
    with pytest.raises(ApiProblemError):
        await api.create_job("no-such-model", {})
    assert (await over(api, job["id"]))["status"] == "SUCCEEDED"

"""Reading, listing and cancelling jobs, and how the orchestrator's facts change what is read."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from contracts import jobs
from contracts.artifacts_api import Artifact
from contracts.attempts import AttemptProgressed
from contracts.failures import FailureCode
from contracts.outputs import ArtifactKind, OutputFile
from contracts.states import JobStatus, Stage
from contracts.workers import ServedModel, WorkerHeartbeat

NOW = datetime(2026, 1, 31, 20, 0, 5, tzinfo=UTC)


async def _until_job(until: Any, client: Any, job_id: str, **expected: Any) -> dict[str, Any]:
    async def as_expected() -> Any:
        body = (await client.get(f"/jobs/{job_id}")).body
        return body if all(body.get(field) == value for field, value in expected.items()) else None

    body: dict[str, Any] = await until(as_expected)
    return body


def _succeeded(facts: Any, attempt_id: Any, *, seq: int = 3) -> Any:
    output = OutputFile(
        name="model.glb", kind=ArtifactKind.MODEL, content_type="model/gltf-binary", size_bytes=5, sha256="0" * 64
    )
    state = {"attempt": 1, "started_at": NOW, "completed_at": NOW, "stage": "export"}
    more = {"outputs": (output,), "stage_durations_ms": {"export": 1.5}, "facts": {"vertices": 4}}
    return facts.fact(jobs.JobSucceeded, seq, JobStatus.SUCCEEDED, state=state, attempt_id=attempt_id, **more)


async def test_job_is_seen_running_with_its_progress_and_then_done(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any, artifacts: Any
) -> None:
    job_id = await admin.create()
    facts = facts_of(await orchestrator.request_for(job_id))
    attempt_id = uuid4()
    running = facts.fact(
        jobs.JobStarted,
        2,
        JobStatus.RUNNING,
        state={"attempt": 1, "started_at": NOW},
        attempt_id=attempt_id,
        worker_id="w",
    )
    await orchestrator.say(facts.queued(), running)
    body = await _until_job(until, admin, job_id, status="RUNNING")
    assert (body["attempt"], body["progress_percent"], body["queue_position"]) == (1, 0, None)

    def progress(percent: float, attempt: int = 1) -> AttemptProgressed:
        return AttemptProgressed(
            job_id=facts.job.job_id, attempt_id=attempt_id, worker_id="w", reported_at=NOW, attempt=attempt,
            stage=Stage.TEXTURE, percent=percent,
        )  # fmt: skip

    await orchestrator.say(progress(60.7), progress(20))
    body = await _until_job(until, admin, job_id, progress_percent=60)
    assert body["stage"] == "texture"
    refused = await admin.get(f"/jobs/{job_id}/download")
    assert (refused.status, refused.body["code"]) == (400, "not_finished")

    await orchestrator.say(_succeeded(facts, attempt_id))
    body = await _until_job(until, admin, job_id, status="SUCCEEDED")
    assert (body["progress_percent"], body["stage"]) == (100, "export")
    assert body["started_at"] == body["completed_at"] == "2026-01-31T20:00:05Z"

    assert (await admin.get(f"/jobs/{job_id}/download")).status == 404
    artifacts.artifacts[job_id] = [
        Artifact(
            name=name,
            kind=kind,
            content_type="x/y",
            size_bytes=5,
            sha256="0" * 64,
            url=f"http://s/{name}",
            expires_in=3600,
        )
        for name, kind in (("preview.png", ArtifactKind.PREVIEW), ("model.glb", ArtifactKind.MODEL))
    ]
    download = await admin.get(f"/jobs/{job_id}/download/")
    assert (download.status, download.body) == (200, {"download_url": "http://s/model.glb", "expires_in": 3600})
    assert artifacts.asked_attempts[job_id] == str(attempt_id)
    listed = (await admin.get(f"/jobs/{job_id}/artifacts")).body["artifacts"]
    assert [(file["name"], file["kind"]) for file in listed] == [("preview.png", "preview"), ("model.glb", "model")]


async def test_log_tells_what_happened_without_internal_ids(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any
) -> None:
    job_id = await admin.create()
    facts = facts_of(await orchestrator.request_for(job_id))
    attempt_id = uuid4()
    await orchestrator.say(facts.queued(), _succeeded(facts, attempt_id, seq=2))
    await _until_job(until, admin, job_id, status="SUCCEEDED")
    events = (await admin.get(f"/jobs/{job_id}/events")).body["events"]
    assert [(event["seq"], event["type"]) for event in events] == [(1, "job.queued"), (2, "job.succeeded")]
    assert events[1]["payload"]["attempt_id"] == str(attempt_id)
    assert events[1]["payload"]["status"] == "SUCCEEDED"
    assert events[1]["payload"]["facts"] == {"vertices": 4}
    for event in events:
        assert not {"user_id", "job"} & event["payload"].keys()
    later = (await admin.get(f"/jobs/{job_id}/events?after_seq=1")).body["events"]
    assert [event["seq"] for event in later] == [2]


async def test_older_and_repeated_facts_change_nothing(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any
) -> None:
    job_id, other_id = await admin.create(), await admin.create()
    facts, other = [facts_of(await orchestrator.request_for(id_)) for id_ in (job_id, other_id)]
    attempt_id = uuid4()
    late = facts.fact(jobs.JobStarted, 2, JobStatus.RUNNING, state={"attempt": 1}, attempt_id=attempt_id, worker_id="w")
    await orchestrator.say(_succeeded(facts, attempt_id))
    await _until_job(until, admin, job_id, status="SUCCEEDED")
    await orchestrator.say(late, facts.queued(), late, _succeeded(other, attempt_id))
    await _until_job(until, admin, other_id, status="SUCCEEDED")

    async def complete_log() -> Any:
        events = (await admin.get(f"/jobs/{job_id}/events")).body["events"]
        return [event["seq"] for event in events] == [1, 2, 3]

    await until(complete_log)
    assert (await admin.get(f"/jobs/{job_id}")).body["status"] == "SUCCEEDED"


async def test_view_is_built_from_the_facts_alone_and_hidden_until_the_job_is_known(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any, some_job: Any
) -> None:
    mine = await orchestrator.request_for(await admin.create())
    facts = facts_of(some_job(mine.user_id))
    job_id, attempt_id = str(facts.job.job_id), uuid4()
    await orchestrator.say(_succeeded(facts, attempt_id, seq=2))
    later = facts_of(mine)
    await orchestrator.say(_succeeded(later, attempt_id))
    await _until_job(until, admin, str(mine.job_id), status="SUCCEEDED")
    assert (await admin.get(f"/jobs/{job_id}")).status == 404
    await orchestrator.say(facts.queued())
    body = await _until_job(until, admin, job_id, status="SUCCEEDED")
    assert body["input_params"] == {"steps": 2}


async def test_failed_job_says_why_and_has_nothing_to_download(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any
) -> None:
    job_id = await admin.create()
    facts = facts_of(await orchestrator.request_for(job_id))
    error = jobs.JobError(code=FailureCode.NO_FOREGROUND, message="Use a plainer background.", retryable=False)
    failed = facts.fact(jobs.JobFailed, 2, JobStatus.FAILED, state={"error": error, "completed_at": NOW})
    await orchestrator.say(facts.queued(), failed)
    body = await _until_job(until, admin, job_id, status="FAILED")
    assert body["error"] == {"code": "no_foreground", "message": "Use a plainer background.", "retryable": False}
    refused = await admin.get(f"/jobs/{job_id}/download")
    assert (refused.status, refused.body["code"]) == (400, "not_finished")
    assert "failed" in refused.body["detail"]
    again = await admin.post(f"/jobs/{job_id}/cancel")
    assert (again.status, again.body["status"]) == (200, "FAILED")


async def test_cancelling_is_asked_for_and_then_told(admin: Any, orchestrator: Any, facts_of: Any, until: Any) -> None:
    job_id = await admin.create()
    facts = facts_of(await orchestrator.request_for(job_id))
    answer = await admin.post(f"/jobs/{job_id}/cancel/")
    assert (answer.status, answer.body["status"], answer.body["cancel_requested"]) == (202, "QUEUED", True)

    async def heard() -> bool:
        return facts.job.job_id in orchestrator.cancelled

    await until(heard)
    cancelled = facts.fact(jobs.JobCancelled, 2, JobStatus.CANCELLED, state={"cancel_requested": True})
    await orchestrator.say(facts.queued(), cancelled)
    await _until_job(until, admin, job_id, status="CANCELLED", cancel_requested=True)
    assert (await admin.post(f"/jobs/{job_id}/cancel")).status == 200


ROUTES_OF_A_JOB = [("GET", ""), ("GET", "/download"), ("GET", "/events"), ("GET", "/artifacts"), ("POST", "/cancel")]


@pytest.mark.parametrize(("method", "route"), ROUTES_OF_A_JOB)
async def test_somebody_elses_job_is_forbidden_and_an_unknown_one_not_found(
    admin: Any, newcomer: Any, method: str, route: str
) -> None:
    job_id = await admin.create()
    forbidden = await newcomer.ask(method, f"/jobs/{job_id}{route}")
    assert (forbidden.status, forbidden.body["code"]) == (403, "not_your_job")
    for unknown in (str(uuid4()), "none", "%00", job_id + "x", "-" * 36):
        missing = await admin.ask(method, f"/jobs/{unknown}{route}")
        assert (missing.status, missing.body["code"]) == (404, "job_not_found")


async def test_list_is_the_callers_own_newest_first_a_page_at_a_time(
    newcomer: Any, admin: Any, orchestrator: Any, facts_of: Any, until: Any
) -> None:
    made = [await newcomer.create() for _ in range(5)]
    await admin.create()
    found, cursor = [], ""
    while True:
        page = (await newcomer.get(f"/jobs/?limit=2{cursor}")).body
        found += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == made[::-1]
    facts = facts_of(await orchestrator.request_for(made[0]))
    await orchestrator.say(facts.queued(), facts.fact(jobs.JobCancelled, 2, JobStatus.CANCELLED))
    await _until_job(until, newcomer, made[0], status="CANCELLED")
    cancelled = (await newcomer.get("/jobs?status=CANCELLED&model_id=simulated-v1")).body["jobs"]
    assert [job["id"] for job in cancelled] == [made[0]]
    assert (await newcomer.get("/jobs?model_id=sf3d-v1")).body["jobs"] == []


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=%00",
        "cursor=" + "A" * 32 + "=",
        "limit=0",
        "limit=101",
        "limit=a",
        "status=x",
        "model_id=%00",
    ],
)
async def test_unusable_query_is_refused(admin: Any, query: str) -> None:
    answer = await admin.get(f"/jobs?{query}")
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == "/" + query.partition("=")[0]


async def test_waiting_jobs_know_their_place_by_fair_share(
    admin: Any, newcomer: Any, database: Any, until: Any
) -> None:
    model = "dreamfusion-sd"

    async def create(client: Any) -> str:
        answer = await client.post("/jobs", {"model_id": model, "input_params": {}, "prompt": "a chair"})
        return str(answer.body["id"])

    await database.execute("UPDATE gateway.job_views SET status = 'CANCELLED' WHERE model_id = $1", model)
    first, second, third = await create(admin), await create(admin), await create(newcomer)

    async def positions() -> Any:
        answers = [
            (await client.get(f"/jobs/{id_}")).body["queue_position"]
            for client, id_ in ((admin, first), (admin, second), (newcomer, third))
        ]
        return answers if None not in answers else None

    assert await until(positions) == [1, 3, 2]


async def test_model_is_served_while_its_worker_is_heard(admin: Any, orchestrator: Any, until: Any) -> None:
    def heartbeat(*, stopping: bool) -> WorkerHeartbeat:
        return WorkerHeartbeat(
            worker_id="w1", models=(ServedModel(model_id="sf3d-v1", slots=1),), attempts=(), stopping=stopping,
            interval_seconds=60, sent_at=NOW,
        )  # fmt: skip

    async def served() -> bool:
        models = (await admin.get("/models")).body["models"]
        return bool({model["id"]: model["served"] for model in models}["sf3d-v1"])

    assert not await served()
    await orchestrator.say(heartbeat(stopping=False))
    await until(served)
    await orchestrator.say(heartbeat(stopping=True))

    async def no_longer() -> bool:
        return not await served()

    await until(no_longer)


async def test_many_reads_at_once_are_answered_each_with_its_own_job(admin: Any) -> None:
    ids = [await admin.create(steps=number) for number in range(1, 11)]
    answers = await asyncio.gather(*(admin.get(f"/jobs/{id_}") for id_ in ids * 5))
    assert [answer.body["id"] for answer in answers] == ids * 5

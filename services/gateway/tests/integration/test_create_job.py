"""POST /jobs/: what is accepted, what is refused and with which words, and that no input gets a 500."""

import asyncio
from typing import Any

import pytest

NAMED = {"model_id": "simulated-v1", "input_params": {}}


async def test_created_job_is_handed_over_and_can_be_read_at_once(admin: Any, orchestrator: Any) -> None:
    answer = await admin.post("/jobs/", {"model_id": "simulated-v1", "input_params": {"steps": 7}, "prompt": "a chair"})
    assert answer.status == 201
    assert answer.body["status"] == "QUEUED"
    assert answer.body["input_params"] == {
        "duration_seconds": 5,
        "steps": 7,
        "outcome": "succeed",
        "output_bytes": 4096,
    }
    read = await admin.get(f"/jobs/{answer.body['id']}")
    assert read.status == 200
    assert read.body | {"queue_position": None} == answer.body
    requested = await orchestrator.request_for(answer.body["id"])
    assert (requested.input_params["steps"], requested.prompt) == (7, "a chair")
    assert requested.policy.max_attempts == 3


async def test_image_job_carries_the_uploaded_object(admin: Any, orchestrator: Any) -> None:
    ticket = (await admin.post("/jobs/upload-ticket", {"filename": "a.png", "content_type": "image/png"})).body
    job_id = await admin.create("silhouette-v1", image_path=ticket["object_name"])
    requested = await orchestrator.request_for(job_id)
    assert requested.input_object == ticket["object_name"]
    assert requested.input_params["image_path"] == ticket["object_name"]


async def test_caller_can_shorten_the_models_patience_but_not_lengthen_it(admin: Any, orchestrator: Any) -> None:
    limits = {"queue_timeout_seconds": 60, "execution_timeout_seconds": 10_000_000}
    answer = await admin.post("/jobs", NAMED | limits)
    policy = (await orchestrator.request_for(answer.body["id"])).policy
    assert (policy.queue_timeout_seconds, policy.execution_timeout_seconds) == (60, 86400)


REFUSED: list[tuple[Any, str, str | None]] = [
    (b"", "invalid_json", None),
    (b"{", "invalid_json", None),
    (b'{"model_id": "simulated-v1", "input_params": {"steps": NaN}}', "invalid_json", None),
    (b'{"model_id": "\\ud800", "input_params": {}}', "invalid_json", None),
    (b"[" * 5000 + b"]" * 5000, "invalid_json", None),
    (b'{"model_id": "simulated-v1", "input_params": {"steps": ' + b"9" * 5000 + b"}}", "invalid_json", None),
    (b"\xff\xfe", "invalid_json", None),
    ([], "invalid_request", ""),
    ("text", "invalid_request", ""),
    ({}, "invalid_request", "/model_id"),
    ({"model_id": "simulated-v1"}, "invalid_request", "/input_params"),
    ({"model_id": 5, "input_params": {}}, "invalid_request", "/model_id"),
    (NAMED | {"input_params": []}, "invalid_request", "/input_params"),
    (NAMED | {"promt": "a chair"}, "invalid_request", "/promt"),
    (NAMED | {"queue_timeout_seconds": 0}, "invalid_request", "/queue_timeout_seconds"),
    # A deadline that is no date: nobody could have taken the job, which had got its 201.
    (NAMED | {"queue_timeout_seconds": 1e300}, "invalid_request", "/queue_timeout_seconds"),
    (NAMED | {"execution_timeout_seconds": 1e300}, "invalid_request", "/execution_timeout_seconds"),
    (b'{"model_id": "simulated-v1", "input_params": {"steps": 1e999}}', "number_too_large", "/input_params/steps"),
    (NAMED | {"input_params": {"steps": 10**30}}, "number_too_large", "/input_params/steps"),
    (NAMED | {"input_params": {"a/b": "\0"}}, "invalid_text", "/input_params/a~1b"),
    (NAMED | {"prompt": "a\0b"}, "invalid_text", "/prompt"),
    (NAMED | {"prompt": "x" * 2001}, "prompt_too_long", "/prompt"),
    (NAMED | {"model_id": "gpt"}, "unknown_model", "/model_id"),
    (NAMED | {"input_params": {"stepz": 1}}, "invalid_parameter", "/input_params/stepz"),
    (NAMED | {"input_params": {"steps": 0}}, "invalid_parameter", "/input_params/steps"),
    (NAMED | {"input_params": {"outcome": "x" * 1000}}, "invalid_parameter", "/input_params/outcome"),
    ({"model_id": "dreamfusion-sd", "input_params": {}}, "prompt_required", "/prompt"),
    ({"model_id": "dreamfusion-sd", "input_params": {}, "prompt": "  "}, "prompt_required", "/prompt"),
    ({"model_id": "sf3d-v1", "input_params": {}}, "image_required", "/input_params/image_path"),
    ({"model_id": "sf3d-v1", "input_params": {"image_path": 5}}, "invalid_parameter", "/input_params/image_path"),
    ({"model_id": "sf3d-v1", "input_params": {"image_path": "b/c"}}, "upload_not_found", "/input_params/image_path"),
    (
        {"model_id": "sf3d-v1", "input_params": {"image_path": "x", "texture_resolution": 9}},
        "invalid_parameter",
        "/input_params/texture_resolution",
    ),
]


@pytest.mark.parametrize(("body", "code", "pointer"), REFUSED)
async def test_unsuitable_request_is_refused_with_a_pointer(
    admin: Any, body: Any, code: str, pointer: str | None
) -> None:
    answer = await admin.post("/jobs/", body)
    assert (answer.status, answer.body["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["request_id"] == answer.headers["x-request-id"]
    assert [error["pointer"] for error in answer.body.get("errors", [])] == ([] if pointer is None else [pointer])


async def test_nesting_past_the_limit_is_refused(admin: Any) -> None:
    nested: Any = {}
    for _ in range(33):
        nested = {"a": nested}
    answer = await admin.post("/jobs", {"model_id": "simulated-v1", "input_params": nested})
    assert (answer.status, answer.body["code"]) == (422, "too_deep")


async def test_body_over_the_limit_is_refused_by_its_declared_and_by_its_real_size(admin: Any) -> None:
    async def chunks() -> Any:
        for _ in range(70):
            yield b" " * 1024

    for body in (b" " * 70_000, chunks()):
        answer = await admin.ask("POST", "/jobs", data=body)
        assert (answer.status, answer.body["code"]) == (413, "body_too_large")


async def test_somebody_elses_upload_is_refused(admin: Any, newcomer: Any) -> None:
    ticket = (await admin.post("/jobs/upload-ticket", {"filename": "a.png", "content_type": "image/png"})).body
    answer = await newcomer.post(
        "/jobs", {"model_id": "sf3d-v1", "input_params": {"image_path": ticket["object_name"]}}
    )
    assert (answer.status, answer.body["code"]) == (422, "upload_not_found")


async def test_retired_model_is_refused_and_no_longer_listed(admin: Any, database: Any, until: Any) -> None:
    await database.execute(
        "INSERT INTO gateway.models (id, name, kind, parameters_schema, defaults, policy)"
        " VALUES ('old-v0', 'Old', 'simulated', '{}', '{}', '{}')"
    )

    async def listed() -> bool:
        return "old-v0" in {model["id"] for model in (await admin.get("/models")).body["models"]}

    await until(listed)
    await database.execute("UPDATE gateway.models SET retired = true WHERE id = 'old-v0'")

    async def refused() -> Any:
        return (await admin.post("/jobs", NAMED | {"model_id": "old-v0"})).body.get("code") == "retired_model"

    await until(refused)
    assert not await listed()


async def test_same_key_and_body_make_one_job_and_another_body_is_a_conflict(admin: Any) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = await admin.post("/jobs/", NAMED, headers=key)
    again = await admin.post("/jobs", {"input_params": {}, "model_id": "simulated-v1"}, headers=key)
    other = await admin.post("/jobs", NAMED | {"prompt": "other"}, headers=key)
    assert (first.status, again.status, other.status) == (201, 200, 409)
    assert again.body["id"] == first.body["id"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.body["code"] == "idempotency_key_reused"


async def test_same_key_of_two_users_makes_two_jobs(admin: Any, newcomer: Any) -> None:
    key = {"Idempotency-Key": "order-2"}
    one, two = await admin.post("/jobs", NAMED, headers=key), await newcomer.post("/jobs", NAMED, headers=key)
    assert (one.status, two.status) == (201, 201)
    assert one.body["id"] != two.body["id"]


async def test_concurrent_posts_with_one_key_make_one_job(admin: Any, newcomer: Any) -> None:
    key = {"Idempotency-Key": "order-3"}
    answers = await asyncio.gather(*(newcomer.post("/jobs", NAMED, headers=key) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len({answer.body["id"] for answer in answers}) == 1
    assert len((await newcomer.get("/jobs")).body["jobs"]) == 1


async def test_concurrent_posts_with_one_key_and_two_bodies_agree_on_one(newcomer: Any) -> None:
    key = {"Idempotency-Key": "order-4"}
    bodies = [NAMED | {"prompt": str(number % 2)} for number in range(10)]
    answers = await asyncio.gather(*(newcomer.post("/jobs", body, headers=key) for body in bodies))
    made = {answer.body["prompt"] for answer in answers if answer.status < 300}
    assert len(made) == 1
    assert sum(answer.status == 409 for answer in answers) == 5


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "ключ"])
async def test_unusable_idempotency_key_is_refused(admin: Any, key: str) -> None:
    answer = await admin.post("/jobs", NAMED, headers={"Idempotency-Key": key})
    assert (answer.status, answer.body["code"]) == (422, "invalid_idempotency_key")

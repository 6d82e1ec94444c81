"""What the gateway says and keeps while a part of the system is gone."""

from typing import Any

import pytest
from pydantic import SecretStr

NAMED = {"model_id": "simulated-v1", "input_params": {}}


async def test_without_the_broker_no_job_exists_and_afterwards_all_is_well(
    *, rabbitmq_url: str, way_to: Any, gateway_with: Any, client_of: Any, orchestrator: Any, database: Any, until: Any
) -> None:
    way = await way_to(rabbitmq_url)
    async with gateway_with(rabbitmq_url=SecretStr(way.url)) as url:
        client = client_of(url)
        await client.create()
        await way.cut()
        key = {"Idempotency-Key": "during-an-outage", "Origin": "https://editor.example"}
        known = await database.fetchval("SELECT count(*) FROM gateway.job_views")
        refused = await client.post("/jobs", NAMED, headers=key)
        assert (refused.status, refused.body["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["access-control-allow-origin"] == "https://editor.example"
        assert await database.fetchval("SELECT count(*) FROM gateway.job_views") == known
        await way.mend()

        async def created() -> Any:
            answer = await client.post("/jobs", NAMED, headers=key)
            return answer if answer.status in {200, 201} else None

        answer = await until(created, within_seconds=20)
        await orchestrator.request_for(answer.body["id"])


async def test_job_confirmed_while_the_database_is_gone_exists_all_the_same(
    *,
    gateway_database: str,
    way_to: Any,
    gateway_with: Any,
    client_of: Any,
    orchestrator: Any,
    facts_of: Any,
    until: Any,
) -> None:
    way = await way_to(gateway_database)
    async with gateway_with(database_url=SecretStr(way.url), api_key_cache_seconds=600.0) as url:
        client = client_of(url)
        await client.create()
        await way.cut()
        answer = await client.post("/jobs", NAMED, headers={"Origin": "https://editor.example"})
        assert answer.status == 201
        unreadable = await client.get(f"/jobs/{answer.body['id']}", headers={"Origin": "https://editor.example"})
        assert (unreadable.status, unreadable.body["code"]) == (503, "unavailable")
        assert unreadable.headers["access-control-allow-origin"] == "https://editor.example"
        await way.mend()
        await orchestrator.say(facts_of(await orchestrator.request_for(answer.body["id"])).queued())

        async def readable() -> bool:
            return bool((await client.get(f"/jobs/{answer.body['id']}")).status == 200)

        await until(readable)


async def test_request_that_was_not_acknowledged_is_said_again_until_it_is(
    admin: Any, orchestrator: Any, facts_of: Any, until: Any, database: Any
) -> None:
    job_id = await admin.create(steps=3)
    first = await orchestrator.request_for(job_id)

    async def said_again() -> bool:
        return sum(job.job_id == first.job_id for job in orchestrator.requested) >= 2

    await until(said_again, within_seconds=15)
    assert all(job == first for job in orchestrator.requested if job.job_id == first.job_id)
    await orchestrator.say(facts_of(first).queued())

    async def acknowledged() -> Any:
        return await database.fetchval("SELECT seq = 1 FROM gateway.job_views WHERE id = $1", first.job_id)

    await until(acknowledged)


@pytest.mark.parametrize("path", ["/jobs", "/jobs/upload-ticket"])
async def test_without_the_artifacts_service_uploads_wait_and_the_rest_works(
    admin: Any, artifacts: Any, path: str
) -> None:
    bodies = {
        "/jobs": {"model_id": "sf3d-v1", "input_params": {"image_path": "x"}},
        "/jobs/upload-ticket": {"filename": "a.png", "content_type": "image/png"},
    }
    artifacts.is_down = True
    try:
        refused = await admin.post(path, bodies[path])
        assert (refused.status, refused.body["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"]
        assert await admin.create()
    finally:
        artifacts.is_down = False

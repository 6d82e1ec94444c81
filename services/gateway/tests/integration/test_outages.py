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
        way.cut()
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


async def test_job_confirmed_while_the_database_is_gone_is_shown_and_said_again_once_it_is_back(
    *, gateway_database: str, way_to: Any, gateway_with: Any, client_of: Any, orchestrator: Any, until: Any
) -> None:
    way = await way_to(gateway_database)
    async with gateway_with(database_url=SecretStr(way.url), api_key_cache_seconds=600.0) as url:
        client = client_of(url)
        await client.create()
        way.cut()
        answer = await client.post("/jobs", NAMED, headers={"Origin": "https://editor.example"})
        assert answer.status == 201
        unreadable = await client.get(f"/jobs/{answer.body['id']}", headers={"Origin": "https://editor.example"})
        assert (unreadable.status, unreadable.body["code"]) == (503, "unavailable")
        assert unreadable.headers["access-control-allow-origin"] == "https://editor.example"
        first = await orchestrator.request_for(answer.body["id"])
        await way.mend()

        async def readable() -> Any:
            read = await client.get(f"/jobs/{answer.body['id']}")
            return read.body if read.status == 200 else None

        # Nobody tells the gateway of it: an orchestrator whose broker lost the request knows nothing either.
        assert (await until(readable)) | {"queue_position": None} == answer.body

        async def said_again() -> bool:
            return sum(job == first for job in orchestrator.requested) >= 2

        await until(said_again)


async def test_job_that_could_not_be_shown_is_written_when_the_gateway_stops(
    *, gateway_database: str, way_to: Any, gateway_with: Any, client_of: Any, database: Any
) -> None:
    way = await way_to(gateway_database)
    async with gateway_with(database_url=SecretStr(way.url), api_key_cache_seconds=600.0) as url:
        client = client_of(url)
        await client.create()
        way.cut()
        job_id = await client.create()
        assert not await database.fetchval("SELECT count(*) FROM gateway.job_views WHERE id = $1", job_id)
        await way.mend()
    assert await database.fetchval("SELECT count(*) FROM gateway.job_views WHERE id = $1", job_id)


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


async def test_artifacts_service_that_does_not_know_the_gateways_question_is_no_mistake_of_the_caller(
    admin: Any, artifacts: Any, gateway_with: Any, client_of: Any
) -> None:
    job_id = await admin.create()
    async with gateway_with(artifacts_url=f"{artifacts.url}/another-version") as url:
        answer = await client_of(url).get(f"/jobs/{job_id}/artifacts")
        assert (answer.status, answer.body["code"]) == (503, "unavailable")


DATABASE_ROUTES = [
    ("GET", "/jobs"),
    ("GET", "/jobs/{id}"),
    ("GET", "/jobs/{id}/download"),
    ("GET", "/jobs/{id}/events"),
    ("GET", "/jobs/{id}/artifacts"),
    ("POST", "/jobs/{id}/cancel"),
]


async def test_without_the_database_every_route_that_needs_it_says_when_to_come_back(
    *, gateway_database: str, way_to: Any, gateway_with: Any, client_of: Any
) -> None:
    way = await way_to(gateway_database)
    async with gateway_with(database_url=SecretStr(way.url), api_key_cache_seconds=600.0) as url:
        client = client_of(url)
        job_id = await client.create()
        way.cut()
        asked = [await client.ask(method, path.format(id=job_id)) for method, path in DATABASE_ROUTES]
        # A key that is not remembered cannot be told from a wrong one.
        asked += [
            await client.ask(method, path.format(id=job_id), headers={"x-api-key": "not-remembered"})
            for method, path in [
                *DATABASE_ROUTES,
                ("GET", "/models"),
                ("POST", "/jobs"),
                ("POST", "/jobs/upload-ticket"),
            ]
        ]
        for answer in asked:
            assert (answer.status, answer.body["code"]) == (503, "unavailable")
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/models")).status == 200  # from memory

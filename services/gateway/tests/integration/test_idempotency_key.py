"""A POST that got an error, or no answer, and is sent again with its key makes one job."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import pytest
from pydantic import SecretStr

from devstack.ports import free_ports
from gateway.settings import GatewaySettings

NAMED = {"model_id": "simulated-v1", "input_params": {}}


def _heard(orchestrator: Any, job_id: str) -> list[Any]:
    return [job for job in orchestrator.requested if str(job.job_id) == job_id]


async def test_one_key_at_two_gateways_at_once_makes_one_job(
    admin: Any, gateway_with: Any, client_of: Any, orchestrator: Any
) -> None:
    async with gateway_with() as url:
        other = client_of(url)
        for number in range(5):
            key = {"Idempotency-Key": f"two-gateways-{number}"}
            answers = await asyncio.gather(
                *(client.post("/jobs", NAMED, headers=key) for client in (admin, other) for _ in range(5))
            )
            assert {answer.status for answer in answers} <= {200, 201}
            (job_id,) = {answer.body["id"] for answer in answers}
            assert len({answer.body["created_at"] for answer in answers}) == 1
            await orchestrator.request_for(job_id)
            # Whoever published, it was the same request: which of them is heard first does not matter.
            assert len(set(map(repr, _heard(orchestrator, job_id)))) == 1


async def test_retry_asks_for_the_very_same_job_though_the_catalogue_has_changed(
    admin: Any, database: Any, orchestrator: Any, until: Any
) -> None:
    key = {"Idempotency-Key": "before-the-change"}
    first = await admin.post("/jobs", NAMED, headers=key)
    job_id = first.body["id"]
    # As if the gateway had been killed between the broker's confirm and the view.
    await database.execute("DELETE FROM gateway.job_views WHERE id = $1", job_id)
    before = await database.fetchrow("SELECT defaults, retired FROM gateway.models WHERE id = 'simulated-v1'")
    await database.execute(
        "UPDATE gateway.models SET retired = true, defaults = defaults || '{\"steps\": 99}' WHERE id = 'simulated-v1'"
    )
    try:

        async def retired() -> bool:
            return bool((await admin.post("/jobs", NAMED)).status == 422)

        await until(retired)
        again = await admin.post("/jobs", NAMED, headers=key)
    finally:
        await database.execute(
            "UPDATE gateway.models SET defaults = $1, retired = $2 WHERE id = 'simulated-v1'", *before
        )
    assert again.status == 201
    assert again.body == first.body
    assert len(set(map(repr, _heard(orchestrator, job_id)))) == 1

    async def offered() -> bool:
        return bool((await admin.post("/jobs", NAMED)).status == 201)

    await until(offered)


async def test_retry_after_a_lost_answer_is_given_the_job_that_was_made(
    admin: Any, newcomer: Any, orchestrator: Any, database: Any, until: Any
) -> None:
    key, body = {"Idempotency-Key": "nobody-was-listening"}, json.dumps(NAMED).encode()
    parts = urlsplit(newcomer.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        f"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nx-api-key: {newcomer.key}\r\n"
        f"Idempotency-Key: {key['Idempotency-Key']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()

    async def made() -> Any:
        return (await newcomer.get("/jobs")).body["jobs"]

    (job,) = await until(made)
    writer.transport.abort()
    again = await newcomer.post("/jobs", NAMED, headers=key)
    assert (again.status, again.headers["Idempotent-Replayed"], again.body["id"]) == (200, "true", job["id"])


async def test_without_the_database_a_keyed_post_does_nothing(
    *, gateway_database: str, way_to: Any, gateway_with: Any, client_of: Any, orchestrator: Any, until: Any
) -> None:
    way, key = await way_to(gateway_database), {"Idempotency-Key": "database-away"}
    async with gateway_with(database_url=SecretStr(way.url), api_key_cache_seconds=600.0) as url:
        client = client_of(url)
        await client.create()
        way.cut()
        refused = await client.post("/jobs", NAMED | {"prompt": "nothing of this is said"}, headers=key)
        assert (refused.status, refused.body["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        await way.mend()

        async def created() -> Any:
            answer = await client.post("/jobs", NAMED | {"prompt": "nothing of this is said"}, headers=key)
            return answer if answer.status != 503 else None

        answer = await until(created)
        assert answer.status == 201
        await orchestrator.request_for(answer.body["id"])
        assert len(_heard(orchestrator, answer.body["id"])) == 1


@contextlib.asynccontextmanager
async def _gateway_process(settings: GatewaySettings, crash_point: str) -> AsyncIterator[str]:
    (port,) = free_ports(1)
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "RABBITMQ_URL": settings.rabbitmq_url.get_secret_value(),
        "ARTIFACTS_URL": settings.artifacts_url,
        "ARTIFACTS_TOKEN": settings.artifacts_token.get_secret_value(),
        "PORT": str(port),
        "CRASH_POINT": crash_point,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
        assert await process.wait() == -9
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    "place", ["after_claim_before_publish", "after_publish_before_view", "after_view_before_answer"]
)
async def test_retry_after_the_gateway_was_killed_makes_one_job(
    *, admin: Any, settings: GatewaySettings, client_of: Any, orchestrator: Any, until: Any, place: str
) -> None:
    key = {"Idempotency-Key": f"killed-{place}"}
    async with _gateway_process(settings, f"gateway.{place}") as url:
        doomed = client_of(url)

        async def killed_by_the_post() -> bool:
            try:
                return (await doomed.get("//health/ready")).status == 200 and await _no_answer(doomed, key)
            except aiohttp.ClientConnectionError:
                return False

        await until(killed_by_the_post, within_seconds=60)
    again = await admin.post("/jobs", NAMED, headers=key)
    assert again.status == (200 if place == "after_view_before_answer" else 201)
    heard = await orchestrator.request_for(again.body["id"])
    assert len(set(map(repr, _heard(orchestrator, again.body["id"])))) == 1
    assert UUID(again.body["id"]) == heard.job_id


async def _no_answer(client: Any, key: dict[str, str]) -> bool:
    try:
        await client.post("/jobs", NAMED, headers=key)
    except aiohttp.ClientConnectionError:
        return True
    return False

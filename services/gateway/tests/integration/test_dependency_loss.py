"""Every route, and the health pages, while the broker or the database is gone, or there and silent; and after it."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import SecretStr

from devstack.severable import SeverableWay
from gateway.app import build_app

BODIES = {
    "/jobs": {"model_id": "simulated-v1", "input_params": {}},
    "/jobs/upload-ticket": {"filename": "a.png", "content_type": "image/png"},
}


def every_route(settings: Any) -> list[tuple[str, str]]:
    """As the OpenAPI document has them: no route is forgotten here."""
    paths = build_app(settings).openapi()["paths"]
    return [
        (method.upper(), path.removeprefix("/api/v1").rstrip("/") or "/")
        for path, methods in paths.items()
        if path.startswith("/api/v1")
        for method in methods
    ]


@pytest.mark.parametrize("lost", ["broker", "database"])
@pytest.mark.parametrize("how", ["cut", "freeze"])
async def test_no_route_fails_otherwise_than_by_503_and_all_is_well_when_it_is_back(
    *,
    gateway_database: str,
    rabbitmq_url: str,
    settings: Any,
    gateway_with: Any,
    client_of: Any,
    orchestrator: Any,
    facts_of: Any,
    until: Any,
    lost: str,
    how: str,
) -> None:
    async with SeverableWay(gateway_database if lost == "database" else rabbitmq_url) as way:
        change = {"database_url" if lost == "database" else "rabbitmq_url": SecretStr(way.url)}
        async with gateway_with(**change, database_timeout_seconds=1.0, api_key_cache_seconds=600.0) as url:
            client = client_of(url)
            job_id = await client.create()

            async def health(page: str) -> int:
                return int((await client.get(f"//health/{page}")).status)

            getattr(way, how)()
            asked_at = time.monotonic()
            answers = await asyncio.gather(
                *(
                    client.ask(method, path.format(job_id=job_id), json=BODIES.get(path))
                    for method, path in every_route(settings)
                    for _ in range(3)
                )
            )
            assert time.monotonic() - asked_at < 10, "the slowest of all, and none stands in the way of the next"
            assert {answer.status for answer in answers} <= {200, 201, 202, 400, 503}
            refused = [answer for answer in answers if answer.status == 503]
            assert refused
            for answer in refused:
                assert answer.headers["content-type"] == "application/problem+json"
                assert int(answer.headers["retry-after"]) > 0
            assert await health("ready") == 503
            assert await health("live") == 200

            await way.mend()

            async def ready() -> bool:
                return await health("ready") == 200

            await until(ready, within_seconds=20)
            job_id = await client.create()
            await orchestrator.say(facts_of(await orchestrator.request_for(job_id)).queued())

            async def heard() -> bool:
                return bool((await client.get(f"/jobs/{job_id}/events")).body.get("events"))

            await until(heard, within_seconds=20)
            assert await health("live") == 200

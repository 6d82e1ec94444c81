"""Every route, and the health pages, while the broker or the database is gone, or there and silent; and after it."""

import asyncio
import time
from typing import Any

import pytest
from artifacts_harness import Answer, Attempt, Service, eventually, output, serving
from retention_harness import MakeSettings, queued, say

from artifacts.app import build_app
from contracts import artifacts_api as api
from contracts.ids import ObjectName, UserId
from devstack.severable import SeverableWay
from service_kit.bus import Bus

GLB = b"glTF"


def every_question(attempt: Attempt, upload: ObjectName) -> dict[str, Any]:
    """One for each route of the contract."""
    user, job, glb = attempt.user_id, attempt.job_id, output(GLB)
    return {
        api.UPLOAD_TICKETS_PATH: api.UploadTicketRequest(user_id=user, filename="a.png", content_type="image/png"),
        api.UPLOAD_CHECKS_PATH: api.UploadCheckRequest(user_id=user, object_name=upload),
        api.JOB_ARTIFACTS_PATH: api.JobArtifactsRequest(job_id=job, user_id=user, attempt_id=attempt.attempt_id),
        api.INPUT_GRANTS_PATH: api.InputGrantRequest(
            job_id=job, attempt_id=attempt.attempt_id, user_id=user, input_object=upload
        ),
        api.OUTPUT_GRANTS_PATH: attempt.grant_request(glb),
        api.REGISTRATIONS_PATH: attempt.registration_request(glb),
    }


async def page(service: Service, name: str) -> int:
    async with service.http.get(f"{service.url}/health/{name}") as response:
        return response.status


@pytest.mark.parametrize("lost", ["broker", "database"])
@pytest.mark.parametrize("how", ["cut", "freeze"])
async def test_no_route_fails_otherwise_than_by_503_and_all_is_well_when_it_is_back(
    service: Service,
    make_settings: MakeSettings,
    own_broker: str,
    user: UserId,
    attempt: Attempt,
    *,
    lost: str,
    how: str,
) -> None:
    upload = await service.uploaded(user)
    await attempt.upload(service, {output(GLB): GLB})
    questions = every_question(attempt, upload)
    assert set(questions) == {route.path for route in routes()}
    url = make_settings().database_url.get_secret_value() if lost == "database" else own_broker
    async with SeverableWay(url) as way:
        change = {"rabbitmq_url": own_broker} | {"database_url" if lost == "database" else "rabbitmq_url": way.url}
        async with serving(build_app(make_settings(**change, database_timeout_seconds=1.0))) as replica:

            async def is_ready() -> bool:
                return await page(replica, "ready") == 200

            await eventually(is_ready, timeout_seconds=30)
            getattr(way, how)()
            asked_at = time.monotonic()
            answers: list[Answer] = await asyncio.gather(
                *(replica.ask(path, question) for path, question in questions.items() for _ in range(3))
            )
            assert time.monotonic() - asked_at < 10
            assert {answer.status for answer in answers} <= ({200, 201} if lost == "broker" else {200, 503})
            for answer in answers:
                if answer.status == 503:
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert int(answer.headers["retry-after"]) > 0
            assert (await page(replica, "ready"), await page(replica, "live")) == (503, 200)
            await way.mend()
            await eventually(is_ready, timeout_seconds=30)
            bus = Bus(own_broker, service="tests")
            await bus.start()
            await say(bus, queued(user, upload, attempt.job_id))
            await eventually(lambda: replica.artifacts_of(attempt.job_id, user), timeout_seconds=30)
            await bus.stop()


def routes() -> Any:
    from artifacts.http import gateway_routes, worker_routes

    nothing: Any = None
    return [*gateway_routes(nothing).routes, *worker_routes(nothing).routes]

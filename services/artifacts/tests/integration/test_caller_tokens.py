"""A token per caller, which opens that caller's routes and no other."""

import pytest
from artifacts_harness import GATEWAY_TOKEN, WORKER_TOKEN, Service

from contracts import artifacts_api as api

GATEWAY = (api.UPLOAD_TICKETS_PATH, api.UPLOAD_CHECKS_PATH, api.JOB_ARTIFACTS_PATH)
WORKER = (api.INPUT_GRANTS_PATH, api.OUTPUT_GRANTS_PATH, api.REGISTRATIONS_PATH)
WRONG = (
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    "Bearer ☃",
    f"Basic {GATEWAY_TOKEN}",
    f"Bearer {GATEWAY_TOKEN}x",
)


async def status_of(service: Service, path: str, authorization: str | None, body: bytes = b"{}") -> int:
    headers = {"Content-Type": "application/json"} | ({} if authorization is None else {"Authorization": authorization})
    async with service.http.post(service.url + path, data=body, headers=headers) as response:
        if response.status == 401:
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert response.headers["Content-Type"] == "application/problem+json"
            assert (await response.json(content_type=None))["code"] == "unauthorized"
        return response.status


@pytest.mark.parametrize("path", GATEWAY + WORKER)
@pytest.mark.parametrize("authorization", WRONG)
async def test_no_route_opens_without_its_token(service: Service, path: str, authorization: str | None) -> None:
    assert await status_of(service, path, authorization) == 401
    assert await status_of(service, path + "/", authorization, b"not json") == 401


@pytest.mark.parametrize(
    ("paths", "own", "others"), [(GATEWAY, GATEWAY_TOKEN, WORKER_TOKEN), (WORKER, WORKER_TOKEN, GATEWAY_TOKEN)]
)
async def test_a_token_opens_its_callers_routes_only(
    service: Service, paths: tuple[str, ...], own: str, others: str
) -> None:
    for path in paths:
        assert await status_of(service, path, f"Bearer {own}") == 422
        assert await status_of(service, path, f"bearer {own}") == 422
        assert await status_of(service, path, f"Bearer {others}") == 401


@pytest.mark.parametrize(
    "path", ["/internal/", "/internal/other", "/internal/gateway", "/internal//gateway/upload-tickets"]
)
async def test_nothing_internal_is_told_to_a_stranger(service: Service, path: str) -> None:
    assert await status_of(service, path, None) == 401


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_the_internal_api_publishes_no_documentation(service: Service, path: str) -> None:
    async with service.http.get(service.url + path) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b"null", b"\xff\xfe", b'{"user_id": "\\ud800"}', b"[" * 5000]
)
@pytest.mark.parametrize("path", GATEWAY + WORKER)
async def test_no_body_is_answered_with_a_server_error(service: Service, path: str, body: bytes) -> None:
    token = GATEWAY_TOKEN if path in GATEWAY else WORKER_TOKEN
    assert await status_of(service, path, f"Bearer {token}", body) == 422

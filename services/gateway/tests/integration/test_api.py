"""What holds for every route: keys, CORS, errors, slashes, description."""

from http import HTTPStatus
from typing import Any

import jsonschema
import pytest
from pydantic import SecretStr

from gateway.users import revoke
from service_kit.settings import DatabaseSettings

ROUTES = [
    ("POST", "/jobs/upload-ticket"),
    ("POST", "/jobs"),
    ("GET", "/jobs"),
    ("GET", "/jobs/0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44"),
    ("GET", "/jobs/0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44/download"),
    ("GET", "/jobs/0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44/events"),
    ("GET", "/jobs/0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44/artifacts"),
    ("POST", "/jobs/0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44/cancel"),
    ("GET", "/models"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("key", [None, "unknown", "x" * 5000, "\u00e9"])
async def test_every_route_needs_a_known_key(stranger: Any, method: str, path: str, key: str | None) -> None:
    answer = await stranger.ask(method, path, headers={"x-api-key": key} if key else {})
    assert (answer.status, answer.body["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"]


async def test_revoked_key_stops_within_seconds(newcomer: Any, gateway_database: str, until: Any) -> None:
    assert (await newcomer.get("/models")).status == 200
    assert await revoke(DatabaseSettings(database_url=SecretStr(gateway_database)), newcomer.key[:12]) == 1

    async def refused() -> bool:
        return bool((await newcomer.get("/models")).status == 401)

    await until(refused, within_seconds=3)


async def test_key_made_a_moment_after_it_was_refused_works_soon(stranger: Any, database: Any, until: Any) -> None:
    key = {"x-api-key": "p3d_of-a-user-who-comes-later"}
    assert (await stranger.get("/models", headers=key)).status == 401
    await database.execute(
        "WITH u AS (INSERT INTO gateway.users (id, username) VALUES (gen_random_uuid(), 'latecomer') RETURNING id)"
        " INSERT INTO gateway.api_keys (id, user_id, key_hash, prefix)"
        " SELECT gen_random_uuid(), id, sha256($1::bytea), 'p3d_' FROM u",
        key["x-api-key"].encode(),
    )

    async def accepted() -> bool:
        return bool((await stranger.get("/models", headers=key)).status == 200)

    await until(accepted, within_seconds=3)


@pytest.mark.parametrize("path", ["/jobs", "/jobs/", "/models", "/models/", "/jobs//"])
async def test_trailing_slash_makes_no_difference(admin: Any, path: str) -> None:
    assert (await admin.get(path)).status == 200


async def test_unknown_paths_and_methods_are_problems_too(admin: Any) -> None:
    for method, path, status, code in (
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/jobs", 405, "method_not_allowed"),
    ):
        answer = await admin.ask(method, path)
        assert (answer.status, answer.body["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/jobs", "GET, POST"),
        ("/jobs/", "GET, POST"),
        ("/jobs/upload-ticket", "POST"),
        ("/jobs/0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44", "GET"),
        ("/jobs/0198c2f4-5d7e-7c31-9a52-3f1e6d0b7a44/cancel", "POST"),
    ],
)
async def test_method_that_a_path_does_not_offer_is_told_all_that_it_does(admin: Any, path: str, allowed: str) -> None:
    for method in {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"} - set(allowed.split(", ")):
        answer = await admin.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed), method


async def test_upload_ticket_is_not_taken_for_a_job_of_that_name(admin: Any) -> None:
    assert (await admin.get("/jobs/upload-ticket")).body["code"] == "method_not_allowed"
    assert (await admin.get("/jobs/upload-tickets")).body["code"] == "job_not_found"


async def test_only_allowed_origins_may_read_answers_and_errors(admin: Any, stranger: Any) -> None:
    for client, path in ((admin, "/models"), (stranger, "/models"), (admin, "/nothing")):
        for origin in ("https://editor.example", "http://localhost:3000"):
            answer = await client.get(path, headers={"Origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin
            assert answer.headers["access-control-allow-credentials"] == "true"
        other = await client.get(path, headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
    too_large = await admin.post("/jobs", b" " * 70_000, headers={"Origin": "https://editor.example"})
    assert (too_large.status, too_large.headers["access-control-allow-origin"]) == (413, "https://editor.example")


async def test_preflight_needs_no_key(stranger: Any) -> None:
    headers = {
        "Origin": "https://editor.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key, content-type, idempotency-key",
    }
    assert (await stranger.ask("OPTIONS", "/jobs", headers=headers)).status == 200


async def test_upload_ticket_is_made_for_the_caller(admin: Any) -> None:
    answer = await admin.post("/jobs/upload-ticket/", {"filename": "../a.png", "content_type": "image/png"})
    assert answer.status == 201
    assert answer.body.keys() == {"upload_url", "object_name", "method", "headers", "expires_in", "max_bytes"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"filename": "a.exe", "content_type": "application/x-msdownload"}, "/content_type"),
        ({"filename": "", "content_type": "image/png"}, "/filename"),
        ({"content_type": "image/png"}, "/filename"),
        ({"filename": "a\0.png", "content_type": "image/png"}, "/filename"),
    ],
)
async def test_unsuitable_upload_is_refused(admin: Any, body: Any, pointer: str) -> None:
    answer = await admin.post("/jobs/upload-ticket", body)
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == pointer


async def test_catalogue_tells_what_each_model_takes(admin: Any) -> None:
    models = {model["id"]: model for model in (await admin.get("/models")).body["models"]}
    assert {"sf3d-v1", "dreamfusion-sd", "silhouette-v1", "simulated-v1"} <= models.keys()
    for model in models.values():
        schema = model["parameters_schema"]
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(model["defaults"], {**schema, "required": []})


async def test_description_is_complete(stranger: Any) -> None:
    description = (await stranger.get("//openapi.json")).body
    assert description["components"]["securitySchemes"]["APIKeyHeader"]["name"] == "x-api-key"
    assert "HTTPValidationError" not in str(description)
    for path, operations in description["paths"].items():
        assert not path.endswith("/")
        for operation in operations.values():
            assert operation["security"] == [{"APIKeyHeader": []}]
            assert {"401", "413", "503"} <= operation["responses"].keys()
            for status, response in operation["responses"].items():
                assert "X-Request-Id" in response["headers"]
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
                else:
                    assert "$ref" in response["content"]["application/json"]["schema"]
    for page in ("//docs", "//redoc"):
        assert (await stranger.get(page)).status == 200
    assert (await stranger.get("//")).headers["location"] == "/docs"


async def test_description_tells_the_limits_that_are_set(gateway_with: Any, client_of: Any) -> None:
    async with gateway_with(max_prompt_characters=3) as url:
        body = (await client_of(url).get("//openapi.json")).body["paths"]["/api/v1/jobs"]["post"]["requestBody"]
        assert body["content"]["application/json"]["schema"]["properties"]["prompt"]["maxLength"] == 3


async def test_example_of_every_problem_is_one(stranger: Any) -> None:
    description = (await stranger.get("//openapi.json")).body
    problem = {"$ref": "#/components/schemas/ProblemDetails", "components": description["components"]}
    for operations in description["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    example = response["content"]["application/problem+json"]["example"]
                    jsonschema.validate(example, problem)
                    assert example["title"] == HTTPStatus(int(status)).phrase


async def test_metrics_name_routes_and_not_paths(admin: Any, stranger: Any) -> None:
    job_id = await admin.create()
    await admin.get(f"/jobs/{job_id}")
    page = (await stranger.get("//metrics")).body
    assert 'method="GET",route="/api/v1/jobs/{job_id}",status="200"' in page
    assert 'method="POST",route="/api/v1/jobs",status="201"' in page
    assert 'p3d_gateway_jobs_created_total{model="simulated-v1"}' in page
    assert job_id not in page

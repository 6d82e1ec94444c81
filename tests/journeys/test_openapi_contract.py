"""The running API against its own OpenAPI description: Schemathesis makes the requests and judges the answers.

By examples, by the limits of every field, by fuzzing, and by following the links from a job to what can be asked of it. What it
found once is told by sentences of its own in the tests of the gateway.

OPENAPI_EXAMPLES=200 tries more, OPENAPI_SEED=7 others: the same two make the same requests.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from contract_document import Installation, document_of
from pydantic import SecretStr
from steps import ASSETS, Raw, eventually, over, simulated, uploaded

from devstack.api_client import ApiClient
from devstack.services import Service, database_url
from devstack.stack import Stack
from gateway.users import add
from service_kit.settings import DatabaseSettings

pytestmark = pytest.mark.xdist_group("stack")

HERE = Path(__file__).parent
MODELS = {"simulated-v1", "sf3d-v1", "dreamfusion-sd"}
"""One of each kind. Nobody serves the last two here: their jobs wait, and are cancelled in the end."""
NEEDS_MORE_THAN_A_REQUEST = {413, 503}
"""A body of 64 KiB, an outage: the gateway's own tests have them."""


@pytest.fixture
async def keys(stack: Stack) -> dict[str, str]:
    """API keys of two users who are nobody else's."""
    url = database_url(stack.servers.postgres_admin_url, Service.GATEWAY)
    settings = DatabaseSettings(database_url=SecretStr(url))
    return {name: await add(settings, f"contract-{name}", priority=None) for name in ("owner", "somebody_else")}


@pytest.fixture
async def clients(stack: Stack, keys: dict[str, str]) -> AsyncIterator[dict[str, ApiClient]]:
    async with AsyncExitStack() as closing:
        yield {name: await closing.enter_async_context(ApiClient(stack.api_url, key)) for name, key in keys.items()}


async def test_the_api_keeps_to_its_description_and_no_job_of_the_run_is_lost(
    stack: Stack, raw: Raw, keys: dict[str, str], clients: dict[str, ApiClient], tmp_path: Path
) -> None:
    description = await fetched_description(stack, raw)
    document = document_of(await installation(clients), description)
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "users.json").write_text(json.dumps({"auth": [_user(name, key) for name, key in keys.items()]}))

    try:
        status, said = await schemathesis(stack.api_url, tmp_path)
    finally:
        for client in clients.values():
            await every_job_ends(client)

    assert status == 0, said
    unanswered = documented_answers(document) - seen_answers(document, tmp_path / "requests.har")
    assert not unanswered, f"the document promises answers that nothing got: {sorted(unanswered)}\n{said}"


async def fetched_description(stack: Stack, raw: Raw) -> dict[str, Any]:
    async with raw.session.get(f"{stack.api_url}/openapi.json") as response:
        description: dict[str, Any] = await response.json()
        return description


async def installation(clients: dict[str, ApiClient]) -> Installation:
    """What exists, for requests to name it."""
    mine, theirs = clients["owner"], clients["somebody_else"]
    request, key = {"model_id": "simulated-v1", "input_params": {"duration_seconds": 0}}, "said-before"
    done = await mine.create_job(**request, idempotency_key=key)
    waiting = await mine.create_job("dreamfusion-sd", {}, prompt="a chair")
    page = await mine.jobs(limit=1)
    assert (await over(mine, done["id"]))["status"] == "SUCCEEDED"
    return Installation(
        request=request,
        key_of_request=key,
        models=[model for model in await mine.models() if model["id"] in MODELS],
        image=await uploaded(mine, (ASSETS / "coffee-cutout.png").read_bytes()),
        jobs={"succeeded": done["id"], "waiting": waiting["id"], "somebody_elses": await simulated(theirs)},
        cursor=page["next_cursor"],
    )


def _user(name: str, key: str) -> dict[str, Any]:
    """As the Web Fuzzing Commons write down who may log in."""
    return {"name": name, "fixedHeaders": [{"name": "x-api-key", "value": key}]}


async def schemathesis(api_url: str, folder: Path) -> tuple[int, str]:
    """Exit status and output of a run over the document in the folder, which keeps a record of every request."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "--no-color",
        "run", "openapi.json", "--url", api_url, "--continue-on-failure",
        "--seed", os.environ.get("OPENAPI_SEED", "1"), "--max-examples", os.environ.get("OPENAPI_EXAMPLES", "10"),
        "--report-har-path", "requests.har",
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "contract_hooks.py"), "CONTRACT_USERS": "users.json"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return await process.wait(), output.decode()


def documented_answers(document: dict[str, Any]) -> set[tuple[str, int]]:
    return {
        (operation["operationId"], int(status))
        for operations in document["paths"].values()
        for operation in operations.values()
        for status in operation["responses"]
        if int(status) not in NEEDS_MORE_THAN_A_REQUEST
    }


def seen_answers(document: dict[str, Any], record: Path) -> set[tuple[str, int]]:
    entries = json.loads(record.read_text())["log"]["entries"]
    return {
        (operations[method]["operationId"], entry["response"]["status"])
        for path, operations in document["paths"].items()
        for entry in entries
        if (method := entry["request"]["method"].lower()) in operations
        and re.fullmatch(r"https?://[^/]+" + re.sub(r"\{\w+\}", "[^/]+", path), entry["request"]["url"].split("?")[0])
    }


async def every_job_ends(api: ApiClient) -> None:
    """Those that wait for a model that nobody serves by being cancelled."""

    async def none_left() -> bool:
        jobs = [job for status in ("QUEUED", "RUNNING") for job in (await api.jobs(status=status))["jobs"]]
        for job in jobs:
            if job["model_id"] != "simulated-v1" and not job["cancel_requested"]:
                await api.cancel(job["id"])
        return not jobs

    await eventually(none_left, within_seconds=60)

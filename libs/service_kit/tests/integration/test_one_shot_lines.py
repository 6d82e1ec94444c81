"""Commands that run once and end write the same lines as services: seen from outside, on a real database."""

import asyncio
import json
import os
import sys

import pytest

from devstack.databases import provision_services
from devstack.services import Service, database_url, role_password


@pytest.fixture
async def own_url(postgres_url: str) -> str:
    """The gateway's own, with the password of its role in it."""
    await provision_services(postgres_url)
    return database_url(postgres_url, Service.GATEWAY)


async def migrate(url: str, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.migrate",
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_what_alembic_and_sqlalchemy_say_is_lines_without_the_password(own_url: str, postgres_url: str) -> None:
    status, out, err = await migrate(own_url, LOG_LEVELS="sqlalchemy.engine=INFO")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["service"] for line in lines} == {"gateway"}
    told_by = {line["logger"]: line["event"] for line in lines if "logger" in line}
    assert told_by["alembic.runtime.migration"].startswith("Running upgrade")
    assert any(name.startswith("sqlalchemy.engine") for name in told_by)
    assert role_password(postgres_url, Service.GATEWAY) not in out


async def test_a_wrong_password_is_a_sentence_without_it(own_url: str, postgres_url: str) -> None:
    status, out, err = await migrate(own_url.replace(role_password(postgres_url, Service.GATEWAY), "wrong-but-secret"))
    assert (status, len(err.splitlines())) == (1, 1), out
    assert 'password authentication failed for user "p3d_gateway"' in err
    assert "wrong-but-secret" not in out + err

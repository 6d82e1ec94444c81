"""Reads, once everything is still, what the stores hold and what a client gets."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import aiohttp
import asyncpg
from clients import Clients, outcome_of
from history import ArtifactRow, AttemptRow, Download, File, History, JobRow, LogRow, Outcome
from witness import Witness, digest

_AT_ONCE = 8

Answer = TypeVar("Answer")


async def collect(database_url: str, users: Sequence[Clients], witness: Witness) -> History:
    """The whole history of a run that is over."""
    history = await _stored(database_url)
    history.heard = tuple(witness.heard)
    history.dead_letters = tuple(witness.dead_letters)
    succeeded = {job.job_id for job in history.jobs if job.outcome.status == "SUCCEEDED"}
    async with aiohttp.ClientSession() as store:
        for clients in users:
            history.accepted += tuple(clients.accepted)
            history.sightings += tuple(clients.sightings)
            accepted = {one.job_id for one in clients.accepted}
            models = {one.job_id for one in clients.accepted if one.makes_model} & succeeded
            history.final |= await _each(accepted, partial(_final, clients))
            history.downloads += tuple((await _each(models, partial(_download, clients, store))).values())
    return history


async def _stored(database_url: str) -> History:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        read = connection.fetch
        return History(
            jobs=[_job(row, "job_id") for row in await read("SELECT * FROM orchestrator.jobs")],
            attempts=[_attempt(row) for row in await read("SELECT * FROM orchestrator.attempts")],
            log=[_log(row) for row in await read("SELECT * FROM orchestrator.job_events")],
            views=[_job(row, "id") for row in await read("SELECT * FROM gateway.job_views")],
            view_log=[
                (str(row["job_id"]), row["seq"], row["type"])
                for row in await read("SELECT job_id, seq, type FROM gateway.job_view_events")
            ],
            artifacts=[
                _artifact(row) for row in await read("SELECT * FROM artifacts.artifacts WHERE attempt_id IS NOT NULL")
            ],
        )
    finally:
        await connection.close()


async def _each(job_ids: Iterable[str], ask: Callable[[str], Awaitable[Answer]]) -> dict[str, Answer]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(job_id: str) -> tuple[str, Answer]:
        async with gate:
            return job_id, await ask(job_id)

    return dict(await asyncio.gather(*map(one, job_ids)))


async def _final(clients: Clients, job_id: str) -> Outcome | None:
    status, body = await clients.get(f"/jobs/{job_id}", url=int(job_id[-1], 16))
    return outcome_of(body) if status == 200 and body is not None else None


async def _download(clients: Clients, store: aiohttp.ClientSession, job_id: str) -> Download:
    status, body = await clients.get(f"/jobs/{job_id}/download")
    if status != 200 or body is None:
        return Download(job_id, None, problem=f"GET …/download answered {status}: {body}")
    url = str(body["download_url"])
    name = unquote(urlsplit(url).path).lstrip("/").partition("/")[2]
    async with store.get(url) as response:
        if response.status != 200:
            return Download(job_id, name, problem=f"the store answered {response.status}")
        content = await response.read()
    return Download(job_id, name, len(content), hashlib.sha256(content).hexdigest())


def _outcome(row: Any) -> Outcome:
    return Outcome(row["status"], (row["error"] or {}).get("code"), row["completed_at"])


def _job(row: Any, key: str) -> JobRow:
    winner = row["winning_attempt_id"]
    return JobRow(str(row[key]), row["seq"], _outcome(row), str(winner) if winner else None)


def _attempt(row: Any) -> AttemptRow:
    return AttemptRow(
        str(row["attempt_id"]), str(row["job_id"]), row["number"], row["status"], row["worker_id"],
        row["dispatched_at"], row["ended_at"],
    )  # fmt: skip


def _log(row: Any) -> LogRow:
    payload = row["payload"]
    files = tuple(
        File(output["name"], output["kind"], output["size_bytes"], output["sha256"])
        for output in payload.get("outputs", ())
    )
    return LogRow(
        str(row["job_id"]), row["seq"], row["type"], outcome_of(payload["state"]), digest(payload),
        payload.get("attempt_id"), files,
    )  # fmt: skip


def _artifact(row: Any) -> ArtifactRow:
    file = File(row["name"], row["kind"], row["size_bytes"], row["sha256"])
    return ArtifactRow(str(row["job_id"]), str(row["attempt_id"]), file, row["object_name"])

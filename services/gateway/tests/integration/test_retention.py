"""What is over for long enough goes: logs first, then jobs with their keys. Ages are of decades, beyond those of other tests."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.forget_old_jobs import ForgetOldJobs
from gateway.settings import GatewaySettings
from gateway.store.database import Database
from gateway.store.retention import Retention

YEAR = timedelta(days=365)
FOR_EVER = None


class Archive:
    """Jobs of the distant past."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.user_id = uuid4()

    async def add(self, *, over_for: timedelta | None, known: bool = True, age: timedelta = 30 * YEAR) -> UUID:
        """A job with a log of two events and a key, over for that long (None: not over yet)."""
        job_id = uuid4()
        await self._database.execute(
            "INSERT INTO gateway.job_views (id, user_id, model_id, policy, created_at, seq, status, completed_at)"
            " VALUES ($1, $2, 'm', '{\"max_attempts\": 3}', CASE WHEN $4 THEN now() - $5::interval END, 2,"
            " CASE WHEN $3::interval IS NULL THEN 'RUNNING' ELSE 'SUCCEEDED' END, now() - $3::interval)",
            job_id, self.user_id, over_for, known, age,
        )  # fmt: skip
        await self._database.execute(
            "INSERT INTO gateway.job_view_events SELECT $1, seq, 'job.queued', now() - $2::interval, '{}'"
            " FROM generate_series(1, 2) AS seq",
            job_id, age,
        )  # fmt: skip
        await self.add_key(job_id, age=age)
        return job_id

    async def add_key(self, job_id: UUID, *, age: timedelta) -> None:
        await self._database.execute(
            "INSERT INTO gateway.idempotency_keys VALUES ($1, '', now() - $2::interval, '{}')", job_id, age
        )

    async def kept(self, job_id: UUID) -> tuple[bool, int, bool]:
        """Whether the job is there, how long its log is, and whether its key is there."""
        row = await self._database.fetchrow(
            "SELECT EXISTS (SELECT FROM gateway.job_views WHERE id = $1),"
            " (SELECT count(*) FROM gateway.job_view_events WHERE job_id = $1),"
            " EXISTS (SELECT FROM gateway.idempotency_keys WHERE job_id = $1)",
            job_id,
        )
        return tuple(row)


@pytest.fixture
def archive(database: Any) -> Archive:
    return Archive(database)


@pytest.fixture
async def retention(settings: GatewaySettings) -> AsyncIterator[Retention]:
    own = Database(settings)
    await own.open()
    yield Retention(own)
    await own.close()


ALL, WITHOUT_LOG, NOTHING = (True, 2, True), (True, 0, True), (False, 0, False)


async def test_logs_go_before_their_jobs_and_jobs_with_their_keys(archive: Archive, retention: Retention) -> None:
    ages = {20: NOTHING, 12: WITHOUT_LOG, 8: ALL}
    jobs = {years: await archive.add(over_for=years * YEAR) for years in ages}
    running = await archive.add(over_for=None)
    await ForgetOldJobs(retention, keep_logs=10 * YEAR, keep_jobs=15 * YEAR)()
    assert {years: await archive.kept(job_id) for years, job_id in jobs.items()} == ages
    assert await archive.kept(running) == ALL


async def test_zero_keeps_for_ever_and_logs_then_as_long_as_their_job(archive: Archive, retention: Retention) -> None:
    old = await archive.add(over_for=20 * YEAR)
    await ForgetOldJobs(retention, keep_logs=FOR_EVER, keep_jobs=FOR_EVER)()
    await ForgetOldJobs(retention, keep_logs=FOR_EVER, keep_jobs=25 * YEAR)()
    assert await archive.kept(old) == ALL
    await ForgetOldJobs(retention, keep_logs=10 * YEAR, keep_jobs=FOR_EVER)()
    assert await archive.kept(old) == WITHOUT_LOG
    await ForgetOldJobs(retention, keep_logs=FOR_EVER, keep_jobs=15 * YEAR)()
    assert await archive.kept(old) == NOTHING


async def test_view_whose_job_was_never_told_goes_once_it_has_been_silent_for_long(
    archive: Archive, retention: Retention
) -> None:
    silent = await archive.add(over_for=None, known=False, age=30 * YEAR)
    spoken = await archive.add(over_for=None, known=False, age=timedelta(hours=1))
    await ForgetOldJobs(retention, keep_logs=FOR_EVER, keep_jobs=15 * YEAR)()
    assert (await archive.kept(silent))[:2] == (False, 0)
    assert await archive.kept(spoken) == ALL


async def test_key_whose_job_never_came_to_be_goes_and_one_in_use_no_longer_holds_the_request(
    archive: Archive, retention: Retention, database: Any
) -> None:
    unused, young, used = uuid4(), uuid4(), await archive.add(over_for=None)
    await archive.add_key(unused, age=timedelta(days=8))
    await archive.add_key(young, age=timedelta(days=6))
    await ForgetOldJobs(retention, keep_logs=FOR_EVER, keep_jobs=FOR_EVER)()
    rows = await database.fetch(
        "SELECT job_id, spec FROM gateway.idempotency_keys WHERE job_id = ANY($1::uuid[])", [unused, young, used]
    )
    assert {row["job_id"]: row["spec"] for row in rows} == {young: "{}", used: None}


async def test_replicas_share_a_backlog_of_several_batches(
    archive: Archive, retention: Retention, database: Any
) -> None:
    await database.execute(
        "INSERT INTO gateway.job_views (id, user_id, model_id, created_at, seq, status, completed_at)"
        " SELECT gen_random_uuid(), $1, 'm', now() - interval '40 years', 2, 'FAILED', now() - interval '40 years'"
        " FROM generate_series(1, 1200)",
        archive.user_id,
    )
    forget = ForgetOldJobs(retention, keep_logs=FOR_EVER, keep_jobs=35 * YEAR)
    await asyncio.gather(forget(), forget())
    await forget()  # what one had locked, the other has passed by
    assert not await database.fetchval("SELECT count(*) FROM gateway.job_views WHERE user_id = $1", archive.user_id)


async def test_gateway_forgets_by_itself(archive: Archive, gateway_with: Any, until: Any) -> None:
    old, newer = await archive.add(over_for=20 * YEAR), await archive.add(over_for=8 * YEAR)
    keep = {"job_events_retention_days": 10 * 365.0, "job_retention_days": 15 * 365.0}
    async with gateway_with(**keep, retention_interval_seconds=0.1):

        async def forgotten() -> bool:
            return await archive.kept(old) == NOTHING

        await until(forgotten)
    assert await archive.kept(newer) == ALL

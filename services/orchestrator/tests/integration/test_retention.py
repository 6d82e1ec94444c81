"""What has been over for long is removed; what is not over, or not yet told, never is."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from services.orchestrator.tests.builders import a_spec, cancel, requested
from services.orchestrator.tests.integration.conftest import MakeReplica

from contracts.ids import JobId
from orchestrator.forget_old_jobs import ForgetOldJobs
from service_kit.database import Pool

MONTH, QUARTER = timedelta(days=30), timedelta(days=90)
FOREVER = None


@pytest.fixture
def retention(pool: Pool) -> ForgetOldJobs:
    return ForgetOldJobs(pool, keep_logs=MONTH, keep_jobs=QUARTER)


async def a_job_over_for(days: float, pool: Pool, make_replica: MakeReplica) -> JobId:
    """Cancelled, told, and then moved into the past."""
    spec = a_spec()
    await make_replica(slots=0).commit(requested(spec), cancel(spec.job_id))
    await pool.execute(
        "UPDATE orchestrator.jobs SET completed_at = now() - make_interval(secs => $2) WHERE job_id = $1",
        spec.job_id,
        days * 86_400,
    )
    await pool.execute("UPDATE orchestrator.job_events SET published_at = now() WHERE job_id = $1", spec.job_id)
    return spec.job_id


async def kept(pool: Pool, job_id: JobId) -> dict[str, Any]:
    row = await pool.fetchrow(
        """SELECT EXISTS (SELECT 1 FROM orchestrator.jobs WHERE job_id = $1) AS job,
                  (SELECT count(*) FROM orchestrator.job_events WHERE job_id = $1) AS events""",
        job_id,
    )
    assert row is not None
    return dict(row)


async def test_first_the_log_goes_and_later_the_job(
    pool: Pool, make_replica: MakeReplica, retention: ForgetOldJobs
) -> None:
    jobs = {days: await a_job_over_for(days, pool, make_replica) for days in (29, 31, 91)}
    await retention()
    assert await kept(pool, jobs[29]) == {"job": True, "events": 2}
    assert await kept(pool, jobs[31]) == {"job": True, "events": 0}
    assert await kept(pool, jobs[91]) == {"job": False, "events": 0}


async def test_a_job_that_waits_for_a_year_is_kept(
    pool: Pool, make_replica: MakeReplica, retention: ForgetOldJobs
) -> None:
    spec = a_spec()
    await make_replica(slots=0).commit(requested(spec))
    await pool.execute("UPDATE orchestrator.jobs SET accepted_at = now() - interval '1 year'")
    await retention()
    assert await kept(pool, spec.job_id) == {"job": True, "events": 1}


async def test_an_end_that_nobody_was_told_of_is_kept_however_old(
    pool: Pool, make_replica: MakeReplica, retention: ForgetOldJobs
) -> None:
    job_id = await a_job_over_for(365, pool, make_replica)
    await pool.execute("UPDATE orchestrator.job_events SET published_at = NULL WHERE seq = 2")
    await retention()
    assert await kept(pool, job_id) == {"job": True, "events": 2}


async def test_without_retention_everything_is_kept(pool: Pool, make_replica: MakeReplica) -> None:
    job_id = await a_job_over_for(3650, pool, make_replica)
    await ForgetOldJobs(pool, keep_logs=FOREVER, keep_jobs=FOREVER)()
    assert await kept(pool, job_id) == {"job": True, "events": 2}


async def test_a_log_is_not_kept_longer_than_its_job(pool: Pool, make_replica: MakeReplica) -> None:
    job_id = await a_job_over_for(8, pool, make_replica)
    await ForgetOldJobs(pool, keep_logs=FOREVER, keep_jobs=timedelta(days=7))()
    assert await kept(pool, job_id) == {"job": False, "events": 0}


async def test_a_thousand_old_jobs_go_in_batches_that_replicas_share(
    pool: Pool, make_replica: MakeReplica, retention: ForgetOldJobs
) -> None:
    specs = [a_spec() for _ in range(1_200)]
    await make_replica(slots=0).commit(*map(requested, specs), *(cancel(spec.job_id) for spec in specs))
    await pool.execute("UPDATE orchestrator.jobs SET completed_at = now() - interval '91 days'")
    await pool.execute("UPDATE orchestrator.job_events SET published_at = now()")
    await asyncio.gather(retention(), retention())
    await retention()
    assert await pool.fetchval("SELECT count(*) FROM orchestrator.jobs") == 0
    assert await pool.fetchval("SELECT count(*) FROM orchestrator.job_events") == 0

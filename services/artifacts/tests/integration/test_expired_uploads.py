"""An upload that nobody uses goes; one that a job uses, or is about to use, stays."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from artifacts_harness import Attempt, Service, eventually
from retention_harness import UPLOADS_KEPT_FOR, Bucket, Retention, attempt_of, queued, say

from contracts import artifacts_api as api
from contracts.artifacts_api import Artifact
from contracts.ids import ObjectName, UserId
from service_kit.bus import Bus

TICKET_TTL = timedelta(seconds=900)
A_SECOND = timedelta(seconds=1)


async def input_of(service: Service, attempt: Attempt) -> tuple[Artifact, ...]:
    return await service.artifacts_of(attempt.job_id, attempt.user_id)


async def test_an_upload_that_no_job_used_goes_some_time_after_its_ticket_expired(
    service: Service, retention: Retention, bucket: Bucket, user: UserId
) -> None:
    object_name = await service.uploaded(user)
    await retention.upload_ages(object_name, TICKET_TTL + UPLOADS_KEPT_FOR - timedelta(minutes=1))
    await retention.sweep()
    assert await bucket.holds(object_name)
    await retention.upload_ages(object_name, timedelta(minutes=1))
    await retention.sweep()
    assert not await bucket.holds(object_name)
    assert not await retention.knows_upload(object_name)
    assert (await service.check(user, object_name)).status == 404


async def test_a_ticket_that_was_never_used_goes_too(service: Service, retention: Retention, user: UserId) -> None:
    object_name = (await service.ticket(user)).object_name
    await retention.upload_ages(object_name, TICKET_TTL + UPLOADS_KEPT_FOR)
    await retention.sweep()
    assert not await retention.knows_upload(object_name)


@pytest.mark.parametrize("who", ["a new job", "a worker"])
async def test_an_upload_that_was_found_stays_for_whoever_is_about_to_use_it(
    service: Service, retention: Retention, bucket: Bucket, attempt: Attempt, who: str
) -> None:
    object_name = await service.uploaded(attempt.user_id)
    await retention.upload_ages(object_name, TICKET_TTL + UPLOADS_KEPT_FOR - A_SECOND * 30)
    if who == "a new job":
        assert (await service.check(attempt.user_id, object_name)).status == 200
    else:
        grant = api.InputGrantRequest(
            job_id=attempt.job_id,
            attempt_id=attempt.attempt_id,
            user_id=attempt.user_id,
            input_object=ObjectName(object_name),
        )
        assert (await service.ask(api.INPUT_GRANTS_PATH, grant)).status == 200
    await retention.upload_ages(object_name, UPLOADS_KEPT_FOR - timedelta(minutes=1))
    await retention.sweep()
    assert await bucket.holds(object_name)


async def test_a_job_that_is_heard_of_in_time_keeps_its_input_for_good(
    service: Service, bus: Bus, retention: Retention, bucket: Bucket, attempt: Attempt
) -> None:
    object_name = await service.uploaded(attempt.user_id)
    await service.check(attempt.user_id, object_name)
    await retention.upload_ages(object_name, UPLOADS_KEPT_FOR - timedelta(minutes=1))
    await say(bus, queued(attempt.user_id, object_name, attempt.job_id))
    await eventually(lambda: input_of(service, attempt))
    await retention.upload_ages(object_name, timedelta(days=10_000))
    await retention.sweep()
    assert await bucket.holds(object_name)


async def test_an_upload_that_is_being_removed_is_nobodys_input(
    service: Service, bus: Bus, retention: Retention, user: UserId
) -> None:
    """The sweep has claimed it and dies, or only takes its time: whoever comes now must not get a file that is about to go."""
    object_name = await service.uploaded(user)
    await retention.upload_ages(object_name, TICKET_TTL + UPLOADS_KEPT_FOR)
    assert object_name in await retention.store.claim_uploads(100)
    assert (await service.check(user, object_name)).body["code"] == "upload_not_found"
    late, good = attempt_of(user), attempt_of(user)
    await say(bus, queued(user, object_name, late.job_id), queued(user, await service.uploaded(user), good.job_id))
    await eventually(lambda: input_of(service, good))
    assert await input_of(service, late) == ()


async def test_a_sweep_that_died_is_taken_up_by_the_next_one(
    service: Service, retention: Retention, bucket: Bucket, user: UserId
) -> None:
    object_name = await service.uploaded(user)
    await retention.upload_ages(object_name, TICKET_TTL + UPLOADS_KEPT_FOR)
    assert object_name in await retention.store.claim_uploads(100)
    await retention.sweep()
    assert await bucket.holds(object_name), "what another replica has claimed is its own"
    await retention.upload_ages(object_name, timedelta(minutes=10))
    await retention.sweep()
    assert not await retention.knows_upload(object_name)
    assert not await bucket.holds(object_name)


async def test_an_upload_that_a_job_used_before_there_were_sweeps_is_found_to_be_in_use(
    service: Service, bus: Bus, retention: Retention, bucket: Bucket, attempt: Attempt
) -> None:
    object_name = await service.uploaded(attempt.user_id)
    await say(bus, queued(attempt.user_id, object_name, attempt.job_id))
    await eventually(lambda: input_of(service, attempt))
    await retention.pool.execute(
        "UPDATE artifacts.uploads SET kept_until = now() - interval '1 day' WHERE object_name = $1", object_name
    )
    await retention.sweep()
    assert await bucket.holds(object_name)
    assert (await service.check(attempt.user_id, object_name)).status == 200
    kept_until = await retention.pool.fetchval(
        "SELECT kept_until FROM artifacts.uploads WHERE object_name = $1", object_name
    )
    assert kept_until is None


async def test_whoever_is_faster_an_upload_is_either_used_or_removed(
    service: Service, bus: Bus, retention: Retention, bucket: Bucket, user: UserId
) -> None:
    """job.queued and the sweep at the same moment: never a job on the register whose input is gone."""
    jobs = {attempt_of(user): await service.uploaded(user) for _ in range(30)}
    for name in jobs.values():
        await retention.upload_ages(name, TICKET_TTL + UPLOADS_KEPT_FOR)
    said = [say(bus, queued(user, name, job.job_id)) for job, name in jobs.items()]
    await asyncio.gather(*said[:15], retention.sweep_uploads(), *said[15:], retention.sweep_uploads())

    async def is_decided(job: Attempt, name: ObjectName) -> bool:
        return bool(await input_of(service, job)) or not await retention.knows_upload(name)

    for job, name in jobs.items():
        await eventually(partial(is_decided, job, name))
    await retention.sweep()
    for job, name in jobs.items():
        is_used = len(await input_of(service, job)) == 1
        assert (await bucket.holds(name), await retention.knows_upload(name)) == (is_used, is_used)

"""A job that was over long ago leaves nothing behind, and takes nothing of another job with it."""

from datetime import timedelta

from artifacts_harness import Attempt, Service, eventually
from retention_harness import (
    JOBS_KEPT_FOR,
    NOW,
    UPLOADS_KEPT_FOR,
    Retention,
    another,
    attempt_of,
    failed,
    queued,
    say,
    stored,
    succeeded,
)

from artifacts.object_names import folder_of
from contracts.ids import ObjectName
from service_kit.bus import Bus


async def finished(service: Service, bus: Bus, retention: Retention, attempt: Attempt, upload: ObjectName) -> None:
    """A job with this input that the attempt has won, after another had lost it."""
    await say(bus, queued(attempt.user_id, upload, attempt.job_id))
    await eventually(lambda: service.artifacts_of(attempt.job_id, attempt.user_id))
    await stored(service, another(attempt), b"lost")
    await stored(service, attempt, b"won")
    await say(bus, succeeded(attempt))
    await eventually(lambda: retention.has_heard(attempt.job_id, attempt.attempt_id))


async def test_of_a_job_that_was_over_long_ago_nothing_is_left(
    service: Service, bus: Bus, retention: Retention, attempt: Attempt
) -> None:
    upload = await service.uploaded(attempt.user_id)
    await finished(service, bus, retention, attempt, upload)
    await retention.job_ages(attempt.job_id, JOBS_KEPT_FOR - timedelta(minutes=1))
    await retention.sweep()
    (_, model) = await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)
    assert (await service.get(model.url))[1] == b"won"

    await retention.job_ages(attempt.job_id, timedelta(minutes=1))
    await retention.sweep()
    assert await retention.bucket.names(folder_of(attempt.job_id)) == set()
    assert not await retention.knows_job(attempt.job_id)
    await retention.upload_ages(upload, UPLOADS_KEPT_FOR)
    await retention.sweep()
    assert not await retention.bucket.holds(upload)
    assert not await retention.knows_upload(upload)


async def test_an_input_stays_as_long_as_another_job_uses_it(
    service: Service, bus: Bus, retention: Retention, attempt: Attempt
) -> None:
    upload, younger = await service.uploaded(attempt.user_id), attempt_of(attempt.user_id)
    await finished(service, bus, retention, attempt, upload)
    await say(bus, queued(attempt.user_id, upload, younger.job_id))
    await eventually(lambda: service.artifacts_of(younger.job_id, younger.user_id))
    await retention.job_ages(attempt.job_id, JOBS_KEPT_FOR)
    await retention.sweep()
    await retention.upload_ages(upload, UPLOADS_KEPT_FOR)
    await retention.sweep()
    assert not await retention.knows_job(attempt.job_id)
    (kept,) = await service.artifacts_of(younger.job_id, younger.user_id)
    assert (await service.get(kept.url))[0] == 200


async def test_a_job_may_be_created_with_the_input_of_one_that_is_being_forgotten(
    service: Service, bus: Bus, retention: Retention, attempt: Attempt
) -> None:
    """The check finds the upload in use, the sweep forgets who used it, and only then job.queued arrives."""
    upload, younger = await service.uploaded(attempt.user_id), attempt_of(attempt.user_id)
    await finished(service, bus, retention, attempt, upload)
    await retention.job_ages(attempt.job_id, JOBS_KEPT_FOR)
    assert (await service.check(attempt.user_id, upload)).status == 200
    await retention.sweep()
    await retention.upload_ages(upload, UPLOADS_KEPT_FOR - timedelta(minutes=1))
    await retention.sweep()
    await say(bus, queued(attempt.user_id, upload, younger.job_id))
    (kept,) = await eventually(lambda: service.artifacts_of(younger.job_id, younger.user_id))
    assert (await service.get(kept.url))[0] == 200


async def test_an_idempotency_key_that_is_used_anew_makes_a_job_that_is_not_over(
    service: Service, bus: Bus, retention: Retention, attempt: Attempt
) -> None:
    """Gateway and orchestrator have forgotten the first job of this id, this service has not."""
    upload, reborn = await service.uploaded(attempt.user_id), another(attempt)
    await finished(service, bus, retention, attempt, upload)
    other = await service.uploaded(attempt.user_id)
    await say(bus, queued(attempt.user_id, other, attempt.job_id, at=NOW + timedelta(days=91)))

    async def input_is_the_new_one() -> bool:
        rows = await retention.pool.fetch(
            "SELECT object_name FROM artifacts.artifacts WHERE job_id = $1", attempt.job_id
        )
        return [row["object_name"] for row in rows] == [other]

    await eventually(input_is_the_new_one)
    await stored(service, reborn, b"made anew")
    await say(bus, succeeded(reborn, at=NOW + timedelta(days=92)))
    await eventually(lambda: retention.has_heard(reborn.job_id, reborn.attempt_id))
    await retention.job_ages(reborn.job_id, timedelta(days=1))
    await retention.sweep()
    (_, model) = await service.artifacts_of(reborn.job_id, reborn.user_id, reborn.attempt_id)
    assert (await service.get(model.url))[1] == b"made anew"
    assert len(await retention.bucket.names(folder_of(reborn.job_id))) == 1


async def test_a_job_queued_that_is_heard_late_or_again_does_not_bring_a_job_back(
    service: Service, bus: Bus, retention: Retention, attempt: Attempt
) -> None:
    await say(bus, failed(job_id=attempt.job_id, user=attempt.user_id))
    await eventually(lambda: retention.has_heard(attempt.job_id))
    last = attempt_of(attempt.user_id)
    late = queued(attempt.user_id, None, attempt.job_id, at=NOW + timedelta(minutes=1))  # by a clock that is ahead
    await say(bus, late, queued(attempt.user_id, await service.uploaded(attempt.user_id), last.job_id))
    await eventually(lambda: service.artifacts_of(last.job_id, last.user_id))
    assert await retention.has_heard(attempt.job_id)

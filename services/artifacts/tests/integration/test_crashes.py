"""kill -9 at the worst moments: whoever comes next finishes the work."""

import signal
from datetime import timedelta

import aiohttp
import pytest
from artifacts_harness import Attempt, Service, eventually, output
from artifacts_process import StartProcess
from retention_harness import (
    JOBS_KEPT_FOR,
    LOSERS_KEPT_FOR,
    NOW,
    UPLOADS_KEPT_FOR,
    Retention,
    another,
    attempt_of,
    queued,
    say,
    stored,
)

from artifacts.object_names import folder_of
from artifacts.store import Outcome, Store
from contracts import artifacts_api as api
from contracts.ids import UserId
from service_kit.bus import Bus

GLB = b"glTF"
A_CLAIM = timedelta(minutes=10)


async def test_a_sweep_of_uploads_killed_half_way_is_finished_by_the_next(
    start_process: StartProcess, service: Service, retention: Retention, user: UserId
) -> None:
    upload = await service.uploaded(user)
    await retention.upload_ages(upload, timedelta(seconds=900) + UPLOADS_KEPT_FOR)
    async with start_process(CRASH_POINT="artifacts.after_delete_before_forget_uploads") as process:
        assert await process.exit_status() == -signal.SIGKILL
    assert not await retention.bucket.holds(upload)
    assert await retention.knows_upload(upload), (
        "a row without its object is found again, an object without a row never"
    )
    await retention.upload_ages(upload, A_CLAIM)
    await retention.sweep()
    assert not await retention.knows_upload(upload)


async def test_a_sweep_of_losers_killed_half_way_is_finished_by_the_next_and_costs_the_winner_nothing(
    start_process: StartProcess, service: Service, retention: Retention, attempt: Attempt
) -> None:
    winner = another(attempt)
    await stored(service, attempt, b"lost")
    await stored(service, winner, GLB)
    await Store(retention.pool).note_outcomes([Outcome(winner.job_id, winner.attempt_id, NOW)])
    await retention.job_ages(winner.job_id, LOSERS_KEPT_FOR)
    async with start_process(CRASH_POINT="artifacts.after_delete_before_forget_losers") as process:
        assert await process.exit_status() == -signal.SIGKILL
    assert len(await retention.bucket.names(folder_of(winner.job_id))) == 1
    assert await retention.registered(winner.job_id) == {attempt.attempt_id, winner.attempt_id}
    await retention.job_ages(winner.job_id, A_CLAIM)
    await retention.sweep()
    assert await retention.registered(winner.job_id) == {winner.attempt_id}
    (model,) = await service.artifacts_of(winner.job_id, winner.user_id, winner.attempt_id)
    assert (await service.get(model.url))[1] == GLB


async def test_a_sweep_of_old_jobs_killed_half_way_is_finished_by_the_next(
    start_process: StartProcess, service: Service, retention: Retention, attempt: Attempt
) -> None:
    await stored(service, attempt, GLB)
    await Store(retention.pool).note_outcomes([Outcome(attempt.job_id, attempt.attempt_id, NOW)])
    await retention.job_ages(attempt.job_id, JOBS_KEPT_FOR)
    async with start_process(
        CRASH_POINT="artifacts.after_delete_before_forget_jobs", LOSER_RETENTION_HOURS="999999"
    ) as process:
        assert await process.exit_status() == -signal.SIGKILL
    assert await retention.bucket.names(folder_of(attempt.job_id)) == set()
    assert await retention.knows_job(attempt.job_id)
    await retention.job_ages(attempt.job_id, A_CLAIM)
    await retention.sweep()
    assert not await retention.knows_job(attempt.job_id)


@pytest.mark.parametrize(
    ("crash_point", "is_registered"),
    [("artifacts.after_verify_before_register", False), ("artifacts.after_register_before_answer", True)],
)
async def test_a_registration_that_was_not_answered_is_safe_to_repeat(
    start_process: StartProcess,
    service: Service,
    retention: Retention,
    attempt: Attempt,
    crash_point: str,
    *,
    is_registered: bool,
) -> None:
    await attempt.upload(service, {output(GLB): GLB})
    question = attempt.registration_request(output(GLB))
    async with start_process(CRASH_POINT=crash_point) as process:
        doomed = await process.ready(service.http)
        with pytest.raises(aiohttp.ClientError):
            await doomed.ask(api.REGISTRATIONS_PATH, question)
        assert await process.exit_status() == -signal.SIGKILL
    assert bool(await retention.registered(attempt.job_id)) is is_registered
    assert (await service.ask(api.REGISTRATIONS_PATH, question)).status == 200
    (model,) = await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)
    assert (await service.get(model.url))[1] == GLB


async def test_an_input_registered_by_a_process_that_died_before_it_said_so_is_registered_once(
    start_process: StartProcess, own_broker: str, service: Service, retention: Retention, user: UserId
) -> None:
    first, second = attempt_of(user), attempt_of(user)
    upload = await service.uploaded(user)
    bus = Bus(own_broker, service="tests")
    await bus.start()
    try:
        await say(bus, queued(user, upload, first.job_id))
        async with start_process(CRASH_POINT="artifacts.after_register_inputs_before_ack") as process:
            assert await process.exit_status() == -signal.SIGKILL
        assert await retention.registered(first.job_id) == {None}
        await say(bus, queued(user, upload, second.job_id))
        async with start_process():
            await eventually(lambda: service.artifacts_of(second.job_id, user), timeout_seconds=60)
            assert len(await service.artifacts_of(first.job_id, user)) == 1
    finally:
        await bus.stop()

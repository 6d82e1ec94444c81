"""Files of attempts that did not win go, the winner's stay: whatever is heard, how often, and in which order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from artifacts_harness import Attempt, Service, eventually, output
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retention_harness import (
    LOSERS_KEPT_FOR,
    NOW,
    Bucket,
    Retention,
    another,
    attempt_of,
    cancelled,
    failed,
    name_of,
    queued,
    say,
    stored,
    succeeded,
)

from artifacts.object_names import folder_of
from artifacts.reopen_jobs import reopen_jobs
from artifacts.store import Outcome, Store
from artifacts.sweep import Removal
from contracts import artifacts_api as api
from contracts.ids import UserId
from contracts.jobs import JobEvent
from service_kit.bus import Bus

WON, LOST = b"glTF of the winner", b"glTF of another"


async def test_when_a_job_succeeded_only_the_winners_files_stay(
    service: Service, bus: Bus, retention: Retention, bucket: Bucket, attempt: Attempt
) -> None:
    winner, unregistered = another(attempt), another(attempt)
    await stored(service, attempt, LOST)
    await unregistered.upload(service, {output(LOST): LOST})
    await stored(service, winner, WON)
    await say(bus, succeeded(winner))
    await eventually(lambda: retention.has_heard(winner.job_id, winner.attempt_id))
    await retention.sweep()
    assert len(await bucket.names(folder_of(attempt.job_id))) == 3, "a fenced worker may still be uploading"
    await retention.job_ages(attempt.job_id, LOSERS_KEPT_FOR)
    await retention.sweep()
    assert await bucket.names(folder_of(attempt.job_id)) == {name_of(winner, WON)}
    assert await retention.registered(attempt.job_id) == {winner.attempt_id}
    (model,) = await service.artifacts_of(winner.job_id, winner.user_id, winner.attempt_id)
    assert (await service.get(model.url))[1] == WON


@pytest.mark.parametrize("ended", [failed, cancelled])
async def test_of_a_job_that_nobody_won_the_input_stays_and_nothing_else(
    service: Service, bus: Bus, retention: Retention, attempt: Attempt, ended: Callable[..., JobEvent]
) -> None:
    bucket = retention.bucket
    upload = await service.uploaded(attempt.user_id)
    await say(bus, queued(attempt.user_id, upload, attempt.job_id))
    await stored(service, attempt, LOST)
    await eventually(lambda: service.artifacts_of(attempt.job_id, attempt.user_id))
    await say(bus, ended(job_id=attempt.job_id, user=attempt.user_id))
    await eventually(lambda: retention.has_heard(attempt.job_id))
    await retention.job_ages(attempt.job_id, LOSERS_KEPT_FOR)
    await retention.sweep()
    assert await bucket.names(folder_of(attempt.job_id)) == set()
    assert await retention.registered(attempt.job_id) == {None}
    assert await bucket.holds(upload)


async def test_an_attempt_that_lost_gets_no_more_grants_and_registers_nothing(
    service: Service, bus: Bus, retention: Retention, attempt: Attempt
) -> None:
    """So that nothing comes into its folder once the grants it had have expired."""
    winner = another(attempt)
    await attempt.upload(service, {output(LOST): LOST})
    await stored(service, winner, WON)
    await say(bus, succeeded(winner))
    await eventually(lambda: retention.has_heard(winner.job_id, winner.attempt_id))
    for path, question in (
        (api.OUTPUT_GRANTS_PATH, attempt.grant_request(output(LOST))),
        (api.REGISTRATIONS_PATH, attempt.registration_request(output(LOST))),
    ):
        answer = await service.ask(path, question)
        assert (answer.status, answer.body["code"]) == (409, "attempt_lost")
    assert await retention.registered(attempt.job_id) == {winner.attempt_id}
    # The winner may say again what it said.
    again = await service.ask(api.REGISTRATIONS_PATH, winner.registration_request(output(WON)))
    assert again.status == 200


async def test_the_files_of_a_job_that_is_not_over_are_nobodys_business(
    service: Service, retention: Retention, bucket: Bucket, attempt: Attempt
) -> None:
    await stored(service, attempt, LOST)
    await stored(service, another(attempt), WON)
    await retention.sweep()
    assert len(await bucket.names(folder_of(attempt.job_id))) == 2


async def test_what_is_not_understood_in_a_jobs_folder_is_not_touched(
    bus: Bus, retention: Retention, bucket: Bucket, attempt: Attempt
) -> None:
    strange = f"{folder_of(attempt.job_id)}readme.txt"
    await bucket.put(strange, b"?", "text/plain")
    await say(bus, failed(job_id=attempt.job_id, user=attempt.user_id))
    await eventually(lambda: retention.has_heard(attempt.job_id))
    await retention.job_ages(attempt.job_id, LOSERS_KEPT_FOR)
    await retention.sweep()
    assert await bucket.holds(strange)


async def test_replicas_that_sweep_at_the_same_time_share_the_work(
    service: Service, retention: Retention, bucket: Bucket, user: UserId
) -> None:
    attempts = [attempt_of(user) for _ in range(20)]
    for each in attempts:
        await each.upload(service, {output(LOST): LOST})
    await Store(retention.pool).note_outcomes([Outcome(each.job_id, None, NOW) for each in attempts])
    for each in attempts:
        await retention.job_ages(each.job_id, LOSERS_KEPT_FOR)
    replicas = [Retention(retention.pool, bucket) for _ in range(3)]
    await asyncio.gather(*(replica.sweep() for replica in replicas))
    for each in attempts:
        assert await bucket.names(folder_of(each.job_id)) == set()


@dataclass(frozen=True, slots=True)
class Story:
    """What can happen to a job whose winner has registered its file."""

    service: Service
    retention: Retention
    bucket: Bucket
    winner: Attempt
    loser: Attempt

    async def job_succeeded_is_heard(self) -> None:
        await Store(self.retention.pool).note_outcomes([Outcome(self.winner.job_id, self.winner.attempt_id, NOW)])

    async def job_queued_comes_late(self) -> None:
        await reopen_jobs(
            {self.winner.job_id: NOW - timedelta(seconds=1)},
            store=Store(self.retention.pool),
            sweeps=self.retention.store,
            inputs_kept_for=LOSERS_KEPT_FOR,
        )

    async def winner_registers_again(self) -> None:
        await stored(self.service, self.winner, WON)

    async def loser_uploads(self) -> None:
        """Behind the back of the service: its grant is older than the outcome."""
        await self.bucket.put(name_of(self.loser, LOST), LOST, "model/gltf-binary")

    async def loser_registers(self) -> None:
        await self.service.ask(api.REGISTRATIONS_PATH, self.loser.registration_request(output(LOST)))

    async def another_worker_runs_the_winning_attempt_too(self) -> None:
        await self.winner.upload(self.service, {output(LOST): LOST})
        answer = await self.service.ask(api.REGISTRATIONS_PATH, self.winner.registration_request(output(LOST)))
        assert answer.status == 409

    async def a_day_passes(self) -> None:
        await self.retention.job_ages(self.winner.job_id, timedelta(days=1))

    async def sweep(self) -> None:
        await self.retention.sweep_losers()

    async def sweep_dies_before_its_deletions(self) -> None:
        await self.retention.store.claim_unswept_jobs(100, over_for=LOSERS_KEPT_FOR)

    async def sweep_dies_after_its_deletions(self) -> None:
        sweep = self.retention.sweep_losers
        for job in await self.retention.store.claim_unswept_jobs(100, over_for=LOSERS_KEPT_FOR):
            await sweep.remove(job, Removal(self.bucket.objects))


STEPS = st.sampled_from(
    [
        Story.job_succeeded_is_heard,
        Story.job_queued_comes_late,
        Story.winner_registers_again,
        Story.loser_uploads,
        Story.loser_registers,
        Story.another_worker_runs_the_winning_attempt_too,
        Story.a_day_passes,
        Story.sweep,
        Story.sweep_dies_before_its_deletions,
        Story.sweep_dies_after_its_deletions,
    ]
)


@given(steps=st.lists(STEPS, max_size=10))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_order_of_events_costs_the_winner_its_file(
    steps: list[Callable[[Story], Awaitable[None]]], service: Service, retention: Retention, bucket: Bucket
) -> None:
    """SUCCEEDED means that the model file is there: over all that a bus and dying processes can do."""
    winner = attempt_of(UserId(uuid4()))
    loser = another(winner)
    await stored(service, winner, WON)
    story = Story(service, retention, bucket, winner, loser)
    for step in steps:
        await step(story)
        assert await bucket.holds(name_of(winner, WON))
    (model,) = await service.artifacts_of(winner.job_id, winner.user_id, winner.attempt_id)
    assert (await service.get(model.url))[1] == WON
    assert await retention.registered(winner.job_id) <= {winner.attempt_id, loser.attempt_id}


@given(steps=st.lists(STEPS, max_size=8))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_happened_before_no_other_attempts_file_is_left_in_the_end(
    steps: list[Callable[[Story], Awaitable[None]]], service: Service, retention: Retention, bucket: Bucket
) -> None:
    winner = attempt_of(UserId(uuid4()))
    loser = another(winner)
    await stored(service, winner, WON)
    story = Story(service, retention, bucket, winner, loser)
    for step in steps:
        # A grant from before the outcome has expired when the first sweep is due.
        if step is not Story.loser_uploads or not await retention.has_heard(winner.job_id):
            await step(story)
    await story.job_succeeded_is_heard()
    await story.a_day_passes()
    await story.sweep()
    winners_folder = f"{folder_of(winner.job_id)}{winner.attempt_id}/"
    assert all(name.startswith(winners_folder) for name in await bucket.names(folder_of(winner.job_id)))
    assert await retention.registered(winner.job_id) == {winner.attempt_id}

"""The store or the database is away, or accepts and never answers: nothing is lost, nothing piles up, all of it mends itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from artifacts_harness import Attempt, Service, eventually, output, serving
from retention_harness import (
    LOSERS_KEPT_FOR,
    NOW,
    Bucket,
    MakeSettings,
    Retention,
    another,
    attempt_of,
    name_of,
    presigner_for,
    queued,
    say,
    stored,
    succeeded,
)
from structlog.testing import capture_logs
from structlog.typing import EventDict

from artifacts.app import build_app
from artifacts.errors import StorageUnavailableError
from artifacts.object_names import folder_of
from artifacts.object_store import ObjectStore, open_session
from artifacts.store import Outcome, Store
from contracts import artifacts_api as api
from contracts.ids import UserId
from devstack.severable import SeverableWay
from service_kit import consumer
from service_kit.bus import Bus

GLB = b"glTF"
TIMEOUT_SECONDS = 0.5
_MANY = 150
"""More than there are connections to the store."""


@pytest.fixture
async def to_store(service: Service, make_settings: MakeSettings) -> AsyncIterator[SeverableWay]:
    async with SeverableWay(make_settings().minio_endpoint) as way:
        yield way


@pytest.fixture
async def to_database(make_settings: MakeSettings) -> AsyncIterator[SeverableWay]:
    async with SeverableWay(make_settings().database_url.get_secret_value()) as way:
        yield way


@pytest.fixture
async def replica(
    to_store: SeverableWay,
    to_database: SeverableWay,
    own_broker: str,
    make_settings: MakeSettings,
) -> AsyncIterator[Service]:
    """The service with a bus of its own, behind ways that can be cut and frozen. What it hands out leads past them."""
    settings = make_settings(
        minio_endpoint=to_store.url,
        minio_public_endpoint=make_settings().minio_endpoint,
        database_url=to_database.url,
        rabbitmq_url=own_broker,
        storage_timeout_seconds=TIMEOUT_SECONDS,
    )
    async with serving(build_app(settings)) as service:
        await eventually(lambda: is_ready(service), timeout_seconds=30)
        yield service


@pytest.fixture
async def own_bus(own_broker: str) -> AsyncIterator[Bus]:
    bus = Bus(own_broker, service="tests")
    await bus.start()
    yield bus
    await bus.stop()


async def is_ready(service: Service) -> bool:
    return (await service.health())[0] == 200


async def is_unready(service: Service) -> bool:
    return not await is_ready(service)


async def test_without_its_store_every_question_about_files_is_answered_503_until_it_is_back(
    replica: Service, to_store: SeverableWay, attempt: Attempt
) -> None:
    upload = await replica.uploaded(attempt.user_id)
    await attempt.upload(replica, {output(GLB): GLB})
    to_store.cut()
    await eventually(lambda: is_unready(replica))
    check = await replica.check(attempt.user_id, upload)
    registration = await replica.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB)))
    for answer in (check, registration):
        assert (answer.status, answer.body["code"]) == (503, "storage_unavailable")
        assert answer.headers["Retry-After"]
    await to_store.mend()
    await eventually(lambda: is_ready(replica), timeout_seconds=30)
    assert (await replica.check(attempt.user_id, upload)).status == 200
    again = await replica.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB)))
    assert again.status == 200


async def test_a_store_that_accepts_and_never_answers_holds_nobody_up(
    replica: Service, to_store: SeverableWay, attempt: Attempt
) -> None:
    upload = await replica.uploaded(attempt.user_id)
    await attempt.upload(replica, {output(GLB): GLB})
    to_store.freeze()
    question = attempt.registration_request(output(GLB))
    began_at = time.monotonic()
    asked = [
        asyncio.create_task(
            replica.check(attempt.user_id, upload) if n % 2 else replica.ask(api.REGISTRATIONS_PATH, question)
        )
        for n in range(_MANY)
    ]
    # What needs no store goes on meanwhile.
    assert (await replica.ticket(attempt.user_id)).object_name
    assert not await is_ready(replica)
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {503}
    # Sixteen read at a time, each for as long as is waited for an answer.
    assert time.monotonic() - began_at < _MANY / 2 / 16 * TIMEOUT_SECONDS + 10
    to_store.thaw()
    await eventually(lambda: is_ready(replica), timeout_seconds=30)
    assert (await replica.check(attempt.user_id, upload)).status == 200
    assert (await replica.ask(api.REGISTRATIONS_PATH, question)).status == 200


@pytest.mark.parametrize("away", ["store", "database"])
async def test_an_outage_longer_than_the_patience_with_a_message_loses_no_input(
    replica: Service,
    own_bus: Bus,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    user: UserId,
    *,
    away: str,
) -> None:
    monkeypatch.setattr(consumer, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(consumer, "_FIRST_PAUSE_SECONDS", 0.1)
    way: SeverableWay = request.getfixturevalue(f"to_{away}")
    job, upload = attempt_of(user), await replica.uploaded(user)
    way.cut()
    with capture_logs() as logs:
        await say(own_bus, queued(user, upload, job.job_id))
        await eventually(lambda: times(logs, "bus.message.returned", 2), timeout_seconds=30)
    await way.mend()
    (kept,) = await eventually(lambda: inputs_of(replica, job), timeout_seconds=30)
    assert (await replica.get(kept.url))[0] == 200


async def test_an_outage_of_the_database_loses_no_outcome(
    replica: Service, own_bus: Bus, to_database: SeverableWay, retention: Retention, attempt: Attempt
) -> None:
    to_database.cut()
    with capture_logs() as logs:
        await say(own_bus, succeeded(attempt))
        await eventually(lambda: times(logs, "bus.message.delayed", 1), timeout_seconds=30)
    await to_database.mend()
    await eventually(lambda: retention.has_heard(attempt.job_id, attempt.attempt_id), timeout_seconds=30)


async def test_a_sweep_without_store_ends_soon_forgets_nothing_and_goes_on_when_it_is_back(
    service: Service, to_store: SeverableWay, retention: Retention, make_settings: MakeSettings, attempt: Attempt
) -> None:
    winner = another(attempt)
    await stored(service, attempt, b"lost")
    await stored(service, winner, GLB)
    await Store(retention.pool).note_outcomes([Outcome(winner.job_id, winner.attempt_id, NOW)])
    await retention.job_ages(winner.job_id, LOSERS_KEPT_FOR)
    presigner = presigner_for(make_settings(minio_endpoint=to_store.url))
    async with open_session() as http:
        bucket = Bucket(http, presigner, ObjectStore(http, presigner, timeout_seconds=TIMEOUT_SECONDS))
        elsewhere = Retention(retention.pool, bucket)
        to_store.freeze()
        with pytest.raises(StorageUnavailableError):
            await elsewhere.sweep_losers()
        assert await retention.registered(winner.job_id) == {attempt.attempt_id, winner.attempt_id}
        to_store.thaw()
        await retention.job_ages(winner.job_id, timedelta(minutes=10))
        await elsewhere.sweep_losers()
    assert await retention.bucket.names(folder_of(winner.job_id)) == {name_of(winner, GLB)}
    assert await retention.registered(winner.job_id) == {winner.attempt_id}


async def inputs_of(service: Service, job: Attempt) -> tuple[api.Artifact, ...]:
    """None as long as the database is away."""
    try:
        return await service.artifacts_of(job.job_id, job.user_id)
    except AssertionError:
        return ()


async def times(logs: list[EventDict], event: str, least: int) -> bool:
    return sum(entry["event"] == event for entry in logs) >= least

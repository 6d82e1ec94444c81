"""What can be answered before the database was ever reached."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import SecretStr

from contracts.ids import JobId, ModelId, UserId
from contracts.jobs import JobSpec
from gateway.job_view import requested_view
from gateway.present_jobs import PresentJobs
from gateway.progress import ProgressBoard
from gateway.refresh_catalogue import CatalogueKeeper
from gateway.show_jobs import ShowJobs
from gateway.store.database import Database
from gateway.store.job_view_writes import JobViewWriter
from gateway.store.job_views import JobViewReader
from gateway.store.models import ModelReader
from service_kit.errors import OperationalError
from service_kit.problems import Problem
from service_kit.settings import DatabaseSettings

NEVER_OPENED = Database(DatabaseSettings(database_url=SecretStr("postgresql://nowhere")))


def spec(number: int) -> JobSpec:
    return JobSpec(
        job_id=JobId(UUID(int=number)),
        user_id=UserId(UUID(int=5)),
        model_id=ModelId("m"),
        input_params={},
        requested_at=datetime(2026, 1, 31, tzinfo=UTC),
    )


async def test_jobs_that_cannot_be_shown_are_kept_and_further_ones_refused_before_too_many_are() -> None:
    show_jobs = ShowJobs(JobViewWriter(NEVER_OPENED), republish_after_seconds=1, max_kept=2)
    for number in (1, 1, 2):
        show_jobs.check_room()
        assert await show_jobs(spec(number)) is True
    with pytest.raises(Problem) as refusal:
        show_jobs.check_room()
    assert refusal.value.status == 503
    with pytest.raises(OperationalError):
        await show_jobs.write_kept()


async def test_catalogue_that_was_not_read_yet_is_not_taken_for_an_empty_one() -> None:
    catalogue = CatalogueKeeper(ModelReader(NEVER_OPENED))
    with pytest.raises(Problem) as refusal:
        catalogue.current()
    assert (refusal.value.status, refusal.value.code) == (503, "unavailable")
    assert refusal.value.headers["Retry-After"]


async def test_job_is_presented_though_its_place_in_the_queue_cannot_be_read() -> None:
    present_jobs = PresentJobs(JobViewReader(NEVER_OPENED), ProgressBoard(), refresh_seconds=1)
    body = await present_jobs.one(requested_view(spec(1)), cancel_requested=True)
    assert (body["queue_position"], body["cancel_requested"]) == (None, True)

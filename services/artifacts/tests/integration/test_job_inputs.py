"""The input becomes an artifact of the job when the job was accepted, and only then."""

from datetime import UTC, datetime
from uuid import uuid4

from artifacts_harness import PNG, Attempt, Service, eventually

from contracts.artifacts_api import Artifact
from contracts.cloudevents import CloudEvent, wrap
from contracts.ids import JobId, ModelId, ObjectName, UserId
from contracts.jobs import JobQueued, JobSpec, JobState
from contracts.outputs import ArtifactKind
from contracts.states import JobStatus
from service_kit.bus import Bus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = ModelId("silhouette-v1")


def queued(user: UserId, input_object: str | None, job_id: JobId | None = None) -> CloudEvent[JobQueued]:
    job = JobSpec(
        job_id=job_id or JobId(uuid4()),
        user_id=user,
        model_id=MODEL,
        input_params={},
        input_object=None if input_object is None else ObjectName(input_object),
        requested_at=NOW,
    )
    event = JobQueued(
        job_id=job.job_id,
        seq=1,
        user_id=user,
        model_id=MODEL,
        occurred_at=NOW,
        state=JobState(status=JobStatus.QUEUED),
        job=job,
    )
    return wrap(event, event_id=f"{job.job_id}/1", source="tests", subject=str(job.job_id), time=NOW)


async def inputs_of(service: Service, event: CloudEvent[JobQueued]) -> tuple[Artifact, ...]:
    return await service.artifacts_of(event.data.job_id, event.data.user_id)


async def test_a_queued_job_has_its_upload_as_input(service: Service, bus: Bus, user: UserId) -> None:
    event = queued(user, await service.uploaded(user, filename="my стул.png"))
    assert await inputs_of(service, event) == ()
    await bus.publish(JobQueued, [event])
    (artifact,) = await eventually(lambda: inputs_of(service, event))
    assert (artifact.name, artifact.kind, artifact.sha256) == ("my стул.png", ArtifactKind.INPUT, None)
    assert (artifact.content_type, artifact.size_bytes) == ("image/png", len(PNG))
    status, body, headers = await service.get(artifact.url)
    assert (status, body) == (200, PNG)
    assert "filename*=UTF-8''my%20%D1%81" in headers["Content-Disposition"]


async def test_an_input_that_is_not_the_users_is_left_out_and_its_neighbours_are_not(
    service: Service, bus: Bus, user: UserId, stranger: UserId
) -> None:
    theirs, never_uploaded = await service.uploaded(stranger), (await service.ticket(user)).object_name
    stolen, gone, broken = queued(user, theirs), queued(user, never_uploaded), queued(user, "a\x00b")
    good, without = queued(user, await service.uploaded(user)), queued(user, None)
    await bus.publish(JobQueued, [stolen, gone, broken, without, good])
    # One statement registers the whole batch: when the good one is there, the others will never be.
    await eventually(lambda: inputs_of(service, good))
    for event in (stolen, gone, broken, without):
        assert await inputs_of(service, event) == ()


async def test_an_event_that_is_delivered_again_changes_nothing(service: Service, bus: Bus, user: UserId) -> None:
    event = queued(user, await service.uploaded(user))
    await bus.publish(JobQueued, [event, event])
    await eventually(lambda: inputs_of(service, event))
    later = queued(user, event.data.job.input_object)
    await bus.publish(JobQueued, [event, later])
    await eventually(lambda: inputs_of(service, later))
    assert len(await inputs_of(service, event)) == 1


async def test_one_upload_may_be_the_input_of_several_jobs(service: Service, bus: Bus, attempt: Attempt) -> None:
    object_name = await service.uploaded(attempt.user_id)
    events = [queued(attempt.user_id, object_name) for _ in range(3)]
    await bus.publish(JobQueued, events)
    await eventually(lambda: inputs_of(service, events[-1]))
    assert [len(await inputs_of(service, event)) for event in events] == [1, 1, 1]

"""Outputs before outcome: what is registered is what is stored."""

import asyncio
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from artifacts_harness import Attempt, Service, output
from retention_harness import Bucket

from artifacts.object_names import output_name
from contracts import artifacts_api as api
from contracts.ids import AttemptId, UserId
from contracts.outputs import ArtifactKind, OutputFile

GLB = b"glTF" + bytes(range(256)) * 20


async def test_registered_outputs_are_listed_with_a_download(service: Service, attempt: Attempt) -> None:
    log = output(b"fine\n", "engine.log", kind=ArtifactKind.LOG, content_type="text/plain; charset=utf-8")
    await attempt.upload(service, {output(GLB): GLB, log: b"fine\n"})
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB), log))
    assert answer.read(api.Registration).registered == ("model.glb", "engine.log")

    model, listed_log = await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)
    assert (model.name, model.kind, model.content_type) == ("model.glb", ArtifactKind.MODEL, "model/gltf-binary")
    assert (model.size_bytes, model.sha256, model.expires_in) == (len(GLB), sha256(GLB).hexdigest(), 3600)
    assert listed_log.kind is ArtifactKind.LOG
    status, body, headers = await service.get(model.url)
    assert (status, body) == (200, GLB)
    assert headers["Content-Disposition"] == 'attachment; filename="model.glb"'


async def test_registering_again_and_at_once_changes_nothing(service: Service, attempt: Attempt) -> None:
    await attempt.upload(service, {output(GLB): GLB})
    question = attempt.registration_request(output(GLB))
    answers = await asyncio.gather(*(service.ask(api.REGISTRATIONS_PATH, question) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len(await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)) == 1


async def test_what_an_attempt_has_registered_never_changes(service: Service, attempt: Attempt) -> None:
    """Two workers may run the same attempt for a moment, and no two runs of an engine make the same bytes."""
    first, second = output(GLB), output(GLB[::-1])
    await attempt.upload(service, {first: GLB})
    await attempt.upload(service, {second: GLB[::-1]})
    assert (await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(first))).status == 200
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(second))
    assert (answer.status, answer.body["code"]) == (409, "output_already_registered")
    (model,) = await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)
    assert model.sha256 == sha256(GLB).hexdigest()
    assert (await service.get(model.url))[1] == GLB


async def test_of_two_different_registrations_at_the_same_moment_one_is_refused(
    service: Service, attempt: Attempt
) -> None:
    contents = [GLB + bytes([n]) for n in range(8)]
    for data in contents:
        await attempt.upload(service, {output(data): data})
    questions = [attempt.registration_request(output(data)) for data in contents]
    answers = await asyncio.gather(*(service.ask(api.REGISTRATIONS_PATH, question) for question in questions))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    (model,) = await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)
    winner = contents[[answer.status for answer in answers].index(200)]
    assert model.sha256 == sha256(winner).hexdigest()
    assert (await service.get(model.url))[1] == winner


async def test_a_grant_used_once_more_does_not_change_the_file_that_was_registered(
    service: Service, attempt: Attempt
) -> None:
    question = attempt.grant_request(output(GLB))
    (upload,) = (await service.ask(api.OUTPUT_GRANTS_PATH, question)).read(api.OutputGrant).uploads
    assert await service.put(upload.url, GLB, upload.headers) == 200
    assert (await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB)))).status == 200
    assert await service.put(upload.url, GLB[::-1], upload.headers) == 400
    assert await service.put(upload.url, GLB, upload.headers) == 200
    (model,) = await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)
    assert (await service.get(model.url))[1] == GLB


@pytest.mark.parametrize(
    ("claim", "quality"),
    [({"size_bytes": len(GLB) - 1}, "size"), ({"content_type": "model/gltf+json"}, "content type")],
)
async def test_what_is_stored_otherwise_than_claimed_is_not_registered(
    service: Service, attempt: Attempt, claim: dict[str, Any], quality: str
) -> None:
    await attempt.upload(service, {output(GLB): GLB})
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB, **claim)))
    assert (answer.status, answer.body["code"]) == (409, "output_mismatch")
    assert quality in answer.body["detail"]
    assert await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id) == ()


async def test_a_hash_that_nothing_was_uploaded_with_is_missing(service: Service, attempt: Attempt) -> None:
    await attempt.upload(service, {output(GLB): GLB})
    claim = output(GLB, sha256=sha256(b"other").hexdigest())
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(claim))
    assert (answer.status, answer.body["code"]) == (404, "output_missing")


async def test_bytes_that_went_bad_in_the_store_are_noticed(service: Service, bucket: Bucket, attempt: Attempt) -> None:
    await bucket.put(output_name(attempt.job_id, attempt.attempt_id, output(GLB)), GLB[:-1] + b"!", "model/gltf-binary")
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB)))
    assert (answer.status, answer.body["code"]) == (409, "output_mismatch")
    assert "SHA-256" in answer.body["detail"]


async def test_one_missing_output_keeps_all_from_being_registered(service: Service, attempt: Attempt) -> None:
    preview: OutputFile = output(b"png", "preview.png", kind=ArtifactKind.PREVIEW, content_type="image/png")
    await attempt.upload(service, {output(GLB): GLB})
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB), preview))
    assert (answer.status, answer.body["code"]) == (404, "output_missing")
    assert "preview.png" in answer.body["detail"]
    assert await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id) == ()


async def test_an_empty_and_a_large_output_are_verified_too(service: Service, attempt: Attempt) -> None:
    large = bytes(range(256)) * 20_000
    files = {output(b"", "empty.log", kind=ArtifactKind.LOG): b"", output(large, "large.glb"): large}
    await attempt.upload(service, files)
    assert (await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(*files))).status == 200


async def test_a_job_shows_the_winning_attempts_outputs_to_its_user_only(
    service: Service, attempt: Attempt, stranger: UserId
) -> None:
    winner = Attempt(attempt.job_id, AttemptId(uuid4()), attempt.user_id)
    for each, data in ((attempt, b"lost"), (winner, b"won!")):
        await each.upload(service, {output(data): data})
        assert (await service.ask(api.REGISTRATIONS_PATH, each.registration_request(output(data)))).status == 200
    (model,) = await service.artifacts_of(attempt.job_id, attempt.user_id, winner.attempt_id)
    assert (await service.get(model.url))[1] == b"won!"
    assert await service.artifacts_of(attempt.job_id, attempt.user_id) == ()
    assert await service.artifacts_of(attempt.job_id, stranger, winner.attempt_id) == ()

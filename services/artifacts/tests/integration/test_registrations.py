"""Outputs before outcome: what is registered is what is stored."""

import asyncio
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from artifacts_harness import Attempt, Service, output

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


async def test_a_file_uploaded_anew_replaces_its_registration(service: Service, attempt: Attempt) -> None:
    for data in (GLB, GLB[::-1]):
        await attempt.upload(service, {output(data): data})
        assert (await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(data)))).status == 200
    (model,) = await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id)
    assert model.sha256 == sha256(GLB[::-1]).hexdigest()


@pytest.mark.parametrize(
    ("claim", "quality"),
    [
        ({"sha256": sha256(b"other").hexdigest()}, "SHA-256"),
        ({"size_bytes": len(GLB) - 1}, "size"),
        ({"content_type": "model/gltf+json"}, "content type"),
    ],
)
async def test_what_is_stored_otherwise_than_claimed_is_not_registered(
    service: Service, attempt: Attempt, claim: dict[str, Any], quality: str
) -> None:
    await attempt.upload(service, {output(GLB): GLB})
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB, **claim)))
    assert (answer.status, answer.body["code"]) == (409, "output_mismatch")
    assert quality in answer.body["detail"]
    assert await service.artifacts_of(attempt.job_id, attempt.user_id, attempt.attempt_id) == ()


async def test_bytes_tampered_with_after_the_upload_are_noticed(service: Service, attempt: Attempt) -> None:
    tampered = GLB[:-1] + b"!"
    await attempt.upload(service, {output(tampered): tampered})
    answer = await service.ask(api.REGISTRATIONS_PATH, attempt.registration_request(output(GLB)))
    assert (answer.status, answer.body["code"]) == (409, "output_mismatch")


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

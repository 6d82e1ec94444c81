"""What a worker may read and write."""

from uuid import uuid4

import pytest
from artifacts_harness import PNG, Attempt, Service, output

from contracts import artifacts_api as api
from contracts.ids import AttemptId, ObjectName, UserId

GLB = b"glTF" + bytes(range(256))


def input_request(attempt: Attempt, object_name: str) -> api.InputGrantRequest:
    return api.InputGrantRequest(
        job_id=attempt.job_id,
        attempt_id=attempt.attempt_id,
        user_id=attempt.user_id,
        input_object=ObjectName(object_name),
    )


async def test_a_worker_reads_the_input_of_its_jobs_user(service: Service, attempt: Attempt) -> None:
    object_name = await service.uploaded(attempt.user_id)
    grant = (await service.ask(api.INPUT_GRANTS_PATH, input_request(attempt, object_name))).read(api.InputGrant)
    status, body, _ = await service.get(grant.url)
    assert (status, body) == (200, PNG)


async def test_no_input_is_granted_that_is_not_an_upload_of_the_jobs_user(
    service: Service, attempt: Attempt, stranger: UserId
) -> None:
    theirs = await service.uploaded(stranger)
    for name in (theirs, "jobs/a/b/model.glb", "a\x00b", f"uploads/{attempt.user_id}/{uuid4()}.png"):
        answer = await service.ask(api.INPUT_GRANTS_PATH, input_request(attempt, name))
        assert (answer.status, answer.body["code"]) == (404, "upload_not_found")


async def test_outputs_go_into_the_attempts_own_folder(service: Service, attempt: Attempt) -> None:
    question = attempt.grant_request(output(GLB), output(PNG, "preview.png", content_type="image/png"))
    grant = (await service.ask(api.OUTPUT_GRANTS_PATH, question)).read(api.OutputGrant)
    assert [upload.name for upload in grant.uploads] == ["model.glb", "preview.png"]
    for upload in grant.uploads:
        assert f"/jobs/{attempt.job_id}/{attempt.attempt_id}/" in upload.url
        assert f"/{upload.name}?" in upload.url


async def test_the_store_takes_exactly_the_type_size_and_bytes_that_were_granted(
    service: Service, attempt: Attempt
) -> None:
    question = attempt.grant_request(output(GLB))
    upload = (await service.ask(api.OUTPUT_GRANTS_PATH, question)).read(api.OutputGrant).uploads[0]
    assert await service.put(upload.url, GLB + b"more", upload.headers | {"Content-Length": str(len(GLB) + 4)}) == 403
    assert await service.put(upload.url, GLB, upload.headers | {"Content-Type": "text/html"}) == 403
    assert await service.put(upload.url, GLB[::-1], upload.headers) == 400
    assert await service.put(upload.url, GLB, upload.headers) == 200


async def test_one_attempts_grant_does_not_reach_anothers_folder(service: Service, attempt: Attempt) -> None:
    upload = (
        (await service.ask(api.OUTPUT_GRANTS_PATH, attempt.grant_request(output(GLB)))).read(api.OutputGrant).uploads[0]
    )
    elsewhere = upload.url.replace(str(attempt.attempt_id), str(AttemptId(uuid4())))
    assert await service.put(elsewhere, GLB, upload.headers) == 403


@pytest.mark.parametrize("path", [api.OUTPUT_GRANTS_PATH, api.REGISTRATIONS_PATH])
@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [{}],
        [{"name": "../model.glb"}],
        [{"name": "a/b.glb"}],
        [{"name": ".hidden"}],
        [{"kind": "input"}],
        [{"kind": "other"}],
        [{"content_type": "model/gltf\r\nx-amz-acl: public-read"}],
        [{"content_type": ""}],
        [{"content_type": "☃/☃"}],
        [{"size_bytes": -1}],
        [{"sha256": "0" * 63}],
        [{}, {}],
        [{"name": f"m{n}.glb"} for n in range(17)],
    ],
)
async def test_outputs_that_are_none_are_refused(
    service: Service, attempt: Attempt, path: str, outputs: list[dict[str, object]]
) -> None:
    good = output(GLB).model_dump(mode="json")
    question = attempt.registration_request(output(GLB)).model_dump(mode="json")
    question["outputs"] = [good | change for change in outputs] if outputs != [{}] else [{}]
    answer = await service.ask(path, question)
    assert (answer.status, answer.body["code"]) == (422, "invalid_request")
    assert answer.body["errors"][0]["pointer"].startswith("/outputs")

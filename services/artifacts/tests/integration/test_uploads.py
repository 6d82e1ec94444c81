"""A user's way in: ticket, PUT, check."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from artifacts_harness import MAX_BYTES, PNG, Service, serving

from artifacts.app import build_app
from artifacts.settings import ArtifactsSettings
from contracts import artifacts_api as api
from contracts.ids import UserId


async def test_an_upload_with_a_ticket_passes_the_check(service: Service, user: UserId) -> None:
    object_name = await service.uploaded(user)
    check = (await service.check(user, object_name)).read(api.UploadCheck)
    assert check == api.UploadCheck(object_name=object_name, content_type="image/png", size_bytes=len(PNG))


async def test_a_ticket_names_an_object_of_the_user_and_says_what_it_allows(service: Service, user: UserId) -> None:
    ticket = await service.ticket(user, filename="../../etc/passwd", content_type="image/webp")
    assert ticket.object_name.startswith(f"uploads/{user}/")
    assert ticket.object_name.endswith(".webp")
    assert "passwd" not in ticket.upload_url
    assert (ticket.method, ticket.headers) == ("PUT", {"Content-Type": "image/webp"})
    assert (ticket.max_bytes, ticket.expires_in) == (MAX_BYTES, 900)


@pytest.mark.parametrize("content_type", ["image/gif", "text/html", "", "image/png\r\nx: y"])
async def test_only_the_catalogues_image_types_get_a_ticket(service: Service, user: UserId, content_type: str) -> None:
    answer = await service.ask(
        api.UPLOAD_TICKETS_PATH, {"user_id": str(user), "filename": "a.png", "content_type": content_type}
    )
    assert (answer.status, answer.body["code"]) == (422, "unsupported_content_type")
    assert "image/png" in answer.body["detail"]


@pytest.mark.parametrize("filename", ["", "x" * 256, None, 7])
async def test_a_file_name_that_is_none_is_refused(service: Service, user: UserId, filename: object) -> None:
    answer = await service.ask(
        api.UPLOAD_TICKETS_PATH, {"user_id": str(user), "filename": filename, "content_type": "image/png"}
    )
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_the_store_refuses_an_upload_of_another_type_than_the_tickets(service: Service, user: UserId) -> None:
    ticket = await service.ticket(user)
    assert await service.put(ticket.upload_url, PNG, {"Content-Type": "text/html"}) == 403
    assert (await service.check(user, ticket.object_name)).body["code"] == "upload_not_found"


async def test_anothers_upload_is_not_told_from_none(service: Service, user: UserId, stranger: UserId) -> None:
    theirs = await service.uploaded(stranger)
    never_uploaded = (await service.ticket(user)).object_name
    for name in (theirs, never_uploaded, never_uploaded.replace(str(user), str(stranger))):
        answer = await service.check(user, name)
        assert (answer.status, answer.body["code"]) == (404, "upload_not_found")
        assert answer.body["detail"].replace(name, "") == (await service.check(user, "x")).body["detail"].replace(
            "x", "", 1
        )


@pytest.mark.parametrize("name", ["", "a\x00b", "../uploads", "jobs/a/b/model.glb", "x" * 5000, "u\u0000", "☃"])
async def test_a_name_that_no_ticket_makes_is_simply_not_found(service: Service, user: UserId, name: str) -> None:
    assert (await service.check(user, name)).status == 404
    assert (await service.check(user, f"uploads/{user}/{name}")).status == 404


async def test_an_upload_over_the_limit_is_refused_and_deleted(service: Service, user: UserId) -> None:
    object_name = await service.uploaded(user, bytes(MAX_BYTES + 1))
    answer = await service.check(user, object_name)
    assert (answer.status, answer.body["code"]) == (422, "upload_too_large")
    assert (await service.check(user, object_name)).body["code"] == "upload_not_found"


async def test_an_upload_of_exactly_the_limit_is_taken(service: Service, user: UserId) -> None:
    object_name = await service.uploaded(user, bytes(MAX_BYTES))
    assert (await service.check(user, object_name)).read(api.UploadCheck).size_bytes == MAX_BYTES


async def test_urls_are_signed_for_the_endpoint_of_whoever_uses_them(
    make_settings: Callable[..., ArtifactsSettings], user: UserId
) -> None:
    elsewhere = make_settings(minio_public_endpoint="https://files.test", minio_worker_endpoint="workers.test:9000")
    async with serving(build_app(elsewhere)) as service:
        ticket = await service.ticket(user)
        question = {
            "job_id": str(user),
            "attempt_id": str(user),
            "user_id": str(user),
            "input_object": ticket.object_name,
        }
        grant = (await service.ask(api.INPUT_GRANTS_PATH, question)).read(api.InputGrant)
    assert urlsplit(ticket.upload_url)[:2] == ("https", "files.test")
    assert urlsplit(grant.url)[:2] == ("http", "workers.test:9000")

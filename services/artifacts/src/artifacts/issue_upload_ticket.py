"""A user wants to upload an image."""

from datetime import UTC, datetime, timedelta

from artifacts.object_names import EXTENSIONS, label_of, upload_name
from artifacts.signed_urls import SignedUrls
from artifacts.store import Store, Upload
from contracts.artifacts_api import UploadTicket, UploadTicketRequest
from service_kit.ids import new_uuid
from service_kit.problems import Problem


async def issue_upload_ticket(
    request: UploadTicketRequest, *, store: Store, urls: SignedUrls, max_bytes: int, kept_for: timedelta
) -> UploadTicket:
    """A presigned PUT for a new object, which from now on is this user's.

    The size is promised, not enforced, by the ticket: a presigned PUT cannot bound it. The check before a job does.
    Unless a job uses it, the object is removed `kept_for` after the ticket has expired.
    """
    if request.content_type not in EXTENSIONS:
        detail = f"Images of type {request.content_type!r} are not taken. Use one of {', '.join(sorted(EXTENSIONS))}."
        raise Problem(422, "unsupported_content_type", detail, pointer="/content_type")
    object_name = upload_name(request.user_id, new_uuid(), request.content_type)
    upload = Upload(object_name, request.user_id, label_of(request.filename), request.content_type)
    expires_at = datetime.now(UTC) + timedelta(seconds=urls.ttl_seconds)
    await store.add_upload(upload, expires_at=expires_at, kept_until=expires_at + kept_for)
    headers = {"Content-Type": request.content_type}
    return UploadTicket(
        upload_url=urls.to_put(object_name, headers),
        object_name=object_name,
        headers=headers,
        expires_in=urls.ttl_seconds,
        max_bytes=max_bytes,
    )

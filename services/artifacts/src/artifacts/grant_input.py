"""A worker wants to read its job's input."""

from datetime import timedelta

from artifacts.find_upload import find_upload
from artifacts.signed_urls import SignedUrls
from artifacts.store import Store
from contracts.artifacts_api import InputGrant, InputGrantRequest


async def grant_input(request: InputGrantRequest, *, store: Store, urls: SignedUrls, kept_for: timedelta) -> InputGrant:
    """A presigned GET, provided that the object is an upload of the user whose job it is."""
    upload = await find_upload(request.user_id, request.input_object, store=store, kept_for=kept_for)
    return InputGrant(url=urls.to_get(upload.object_name), expires_in=urls.ttl_seconds)

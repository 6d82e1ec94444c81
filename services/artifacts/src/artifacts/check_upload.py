"""Is the file there that a new job names, is it this user's, and may it be used?"""

from datetime import timedelta

import structlog

from artifacts.errors import upload_not_found, upload_too_large, upload_type_mismatch
from artifacts.find_upload import find_upload
from artifacts.object_store import ObjectStore
from artifacts.store import Store
from contracts.artifacts_api import UploadCheck, UploadCheckRequest

log = structlog.get_logger()


async def check_upload(
    request: UploadCheckRequest, *, store: Store, objects: ObjectStore, max_bytes: int, kept_for: timedelta
) -> UploadCheck:
    """Raises the `Problem` that says why not. The upload is kept for `kept_for` from now at least.

    An upload larger than `max_bytes` is deleted: nothing else would bound it.
    """
    upload = await find_upload(request.user_id, request.object_name, store=store, kept_for=kept_for)
    stored = await objects.head(upload.object_name)
    if stored is None:
        raise upload_not_found(request.object_name)
    if stored.size_bytes > max_bytes:
        await objects.delete(upload.object_name)
        log.info("artifacts.upload.deleted", object_name=upload.object_name, size_bytes=stored.size_bytes)
        raise upload_too_large(stored.size_bytes, max_bytes)
    if stored.content_type != upload.content_type:
        raise upload_type_mismatch(stored.content_type, upload.content_type)
    return UploadCheck(object_name=upload.object_name, content_type=stored.content_type, size_bytes=stored.size_bytes)

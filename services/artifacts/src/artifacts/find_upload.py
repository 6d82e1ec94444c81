"""Whose upload is it?"""

from datetime import timedelta

from artifacts.errors import upload_not_found
from artifacts.object_names import names_upload_of
from artifacts.store import Store, Upload
from contracts.ids import ObjectName, UserId


async def find_upload(user_id: UserId, object_name: ObjectName, *, store: Store, kept_for: timedelta) -> Upload:
    """The upload, if a ticket of this user's named it; else raises the same 404 for another's as for none.

    Who finds it means to use it, so it stays for at least `kept_for`: a job needs no more than that to be heard of here, and then
    it stays as long as the job.
    """
    # A name that no ticket can have made is not worth a question, nor fit for one: PostgreSQL refuses some characters.
    found = (
        await store.find_upload(user_id, object_name, kept_for=kept_for)
        if names_upload_of(user_id, object_name)
        else None
    )
    if found is None:
        raise upload_not_found(object_name)
    upload, kept = found
    if not kept and not await store.keep_upload(object_name, kept_for=kept_for):
        raise upload_not_found(object_name)
    return upload

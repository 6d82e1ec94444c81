"""Whose upload is it?"""

from artifacts.errors import upload_not_found
from artifacts.object_names import names_upload_of
from artifacts.store import Store, Upload
from contracts.ids import ObjectName, UserId


async def find_upload(user_id: UserId, object_name: ObjectName, *, store: Store) -> Upload:
    """The upload, if a ticket of this user's named it; else raises the same 404 for another's as for none."""
    # A name that no ticket can have made is not worth a question, nor fit for one: PostgreSQL refuses some characters.
    upload = await store.find_upload(user_id, object_name) if names_upload_of(user_id, object_name) else None
    if upload is None:
        raise upload_not_found(object_name)
    return upload

"""How objects are named in the bucket, and what a user's file name is reduced to."""

import re
from uuid import UUID

from contracts.ids import AttemptId, JobId, ObjectName, UserId

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
"""The image types the catalogue's models take, and the extension of each."""

_LABEL_LENGTH = 120
_NOT_IN_LABELS = re.compile(r"[^\w .()+-]+")
_UPLOAD = re.compile(rf"uploads/[0-9a-f-]{{36}}/[0-9a-f-]{{36}}\.(?:{'|'.join(EXTENSIONS.values())})")


def upload_name(user_id: UserId, upload_id: UUID, content_type: str) -> ObjectName:
    return ObjectName(f"uploads/{user_id}/{upload_id}.{EXTENSIONS[content_type]}")


def names_upload_of(user_id: UserId, object_name: str) -> bool:
    """Whether a ticket for this user could have named the object so. Whether one did, only the register knows."""
    return _UPLOAD.fullmatch(object_name) is not None and object_name.startswith(f"uploads/{user_id}/")


def output_name(job_id: JobId, attempt_id: AttemptId, name: str) -> ObjectName:
    """Each attempt has a folder of its own: a lapsed attempt that still uploads cannot touch another's files."""
    return ObjectName(f"jobs/{job_id}/{attempt_id}/{name}")


def label_of(filename: str) -> str:
    """The user's file name as a harmless label: no folder, no control characters, at most 120 characters."""
    last = re.split(r"[/\\]", filename)[-1]
    label = _NOT_IN_LABELS.sub("_", last).strip(" .")[-_LABEL_LENGTH:]
    return label or "image"

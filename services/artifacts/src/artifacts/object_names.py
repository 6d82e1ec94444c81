"""How objects are named in the bucket, and what a user's file name is reduced to."""

import re
from collections.abc import Collection
from uuid import UUID

from contracts.artifacts_api import ImageType
from contracts.ids import AttemptId, JobId, ObjectName, UserId
from contracts.outputs import OutputFile

EXTENSIONS: dict[str, str] = {ImageType.PNG: "png", ImageType.JPEG: "jpg", ImageType.WEBP: "webp"}
"""Of the names of uploads."""

_LABEL_LENGTH = 120
_NOT_IN_LABELS = re.compile(r"[^\w .()+-]+")
_ATTEMPT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UPLOAD = re.compile(rf"uploads/[0-9a-f-]{{36}}/[0-9a-f-]{{36}}\.(?:{'|'.join(EXTENSIONS.values())})")


def upload_name(user_id: UserId, upload_id: UUID, content_type: str) -> ObjectName:
    return ObjectName(f"uploads/{user_id}/{upload_id}.{EXTENSIONS[content_type]}")


def names_upload_of(user_id: UserId, object_name: str) -> bool:
    """Whether a ticket for this user could have named the object so. Whether one did, only the register knows."""
    return _UPLOAD.fullmatch(object_name) is not None and object_name.startswith(f"uploads/{user_id}/")


def output_name(job_id: JobId, attempt_id: AttemptId, output: OutputFile) -> ObjectName:
    """Each attempt has a folder of its own: a lapsed attempt that still uploads cannot touch another's files.

    And each content has one in it: should two workers run the same attempt, neither can put its file in the place of the other's,
    which may be registered already.
    """
    return ObjectName(f"{folder_of(job_id)}{attempt_id}/{output.sha256}/{output.name}")


def folder_of(job_id: JobId) -> str:
    """What the names of all outputs of a job begin with, and no other's."""
    return f"jobs/{job_id}/"


def is_output_of_a_loser(object_name: str, job_id: JobId, winners: Collection[AttemptId]) -> bool:
    """Whether the object lies in the folder of an attempt of the job that is not among the winners.

    False for every name that no attempt's output has: what is not understood is not touched.
    """
    folder, _, name = object_name.removeprefix(folder_of(job_id)).partition("/")
    if not object_name.startswith(folder_of(job_id)) or not name or not _ATTEMPT.fullmatch(folder):
        return False
    return folder not in {str(winner) for winner in winners}


def label_of(filename: str) -> str:
    """The user's file name as a harmless label: no folder, no control characters, at most 120 characters."""
    last = re.split(r"[/\\]", filename)[-1]
    label = _NOT_IN_LABELS.sub("_", last).strip(" .")[-_LABEL_LENGTH:]
    return label or "image"

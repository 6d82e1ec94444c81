"""What is asked of the artifacts service over HTTP: the only questions between services.

Paths are relative to the service's base URL. Each caller has a token of its own, sent as ``Authorization: Bearer``; the gateway's
opens only the gateway's routes, the workers' only theirs. Failures are problem+json with a `code` from `ArtifactsProblem`.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.ids import AttemptId, JobId, ObjectName, UserId
from contracts.message import Value
from contracts.outputs import ArtifactKind, OutputFile, OutputName, Sha256

# Gateway's routes
UPLOAD_TICKETS_PATH = "/internal/gateway/upload-tickets"
UPLOAD_CHECKS_PATH = "/internal/gateway/upload-checks"
JOB_ARTIFACTS_PATH = "/internal/gateway/job-artifacts"

# Workers' routes
INPUT_GRANTS_PATH = "/internal/worker/input-grants"
OUTPUT_GRANTS_PATH = "/internal/worker/output-grants"
REGISTRATIONS_PATH = "/internal/worker/registrations"


class ArtifactsProblem(StrEnum):
    UNAUTHORIZED = "unauthorized"
    UPLOAD_NOT_FOUND = "upload_not_found"
    """No ticket of this user's names the object, or nothing was uploaded with it. (Another's is not told from none.)"""
    UPLOAD_TOO_LARGE = "upload_too_large"
    UPLOAD_TYPE_MISMATCH = "upload_type_mismatch"
    OUTPUT_MISSING = "output_missing"
    OUTPUT_MISMATCH = "output_mismatch"
    """The stored object is not what the worker says it uploaded."""
    OUTPUT_ALREADY_REGISTERED = "output_already_registered"
    """With other content; what is registered never changes."""
    ATTEMPT_LOST = "attempt_lost"
    """The job is over, and not by this attempt."""
    STORAGE_UNAVAILABLE = "storage_unavailable"


class ImageType(StrEnum):
    """What may be uploaded: the types that the catalogue's models take."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"


class UploadTicketRequest(Value):
    user_id: UserId
    filename: Annotated[str, Field(min_length=1, max_length=255)]
    content_type: str


class UploadTicket(Value):
    """A presigned PUT for one object, for `expires_in` seconds."""

    upload_url: str
    object_name: ObjectName
    method: str = "PUT"
    headers: dict[str, str]
    expires_in: int
    max_bytes: int


class UploadCheckRequest(Value):
    user_id: UserId
    object_name: ObjectName


class UploadCheck(Value):
    """The object is there, and it is this user's."""

    object_name: ObjectName
    content_type: str
    size_bytes: int


class JobArtifactsRequest(Value):
    job_id: JobId
    user_id: UserId
    attempt_id: AttemptId | None = None
    """The winning attempt; None: the inputs only."""


class Artifact(Value):
    name: str
    kind: ArtifactKind
    content_type: str
    size_bytes: int
    sha256: Sha256 | None = None
    """None for inputs: nobody has read them yet."""
    url: str
    """Presigned GET on the public endpoint."""
    expires_in: int


class JobArtifacts(Value):
    artifacts: tuple[Artifact, ...]


class InputGrantRequest(Value):
    job_id: JobId
    attempt_id: AttemptId
    user_id: UserId
    input_object: ObjectName


class InputGrant(Value):
    url: str
    """Presigned GET."""
    expires_in: int


class OutputGrantRequest(Value):
    """Where may I put these? At most 16 files."""

    job_id: JobId
    attempt_id: AttemptId
    outputs: Annotated[tuple[OutputFile, ...], Field(min_length=1, max_length=16)]


class OutputUpload(Value):
    name: OutputName
    url: str
    """Presigned PUT into the attempt's own folder."""
    headers: dict[str, str]
    """To be sent exactly as they are: they are part of the signature."""


class OutputGrant(Value):
    uploads: tuple[OutputUpload, ...]
    expires_in: int


class RegistrationRequest(Value):
    """I have uploaded these: verify and register them. Idempotent."""

    job_id: JobId
    attempt_id: AttemptId
    user_id: UserId
    outputs: Annotated[tuple[OutputFile, ...], Field(min_length=1, max_length=16)]


class Registration(Value):
    registered: tuple[OutputName, ...]

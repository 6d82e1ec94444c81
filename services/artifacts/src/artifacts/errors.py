"""What can go wrong here, by whose fault."""

from contracts.artifacts_api import ArtifactsProblem
from service_kit.errors import OperationalError
from service_kit.problems import Problem


class StorageUnavailableError(Problem, OperationalError):
    """The store does not answer, or refuses us: a caller gets 503, a delivery from the bus is given back."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            503,
            ArtifactsProblem.STORAGE_UNAVAILABLE,
            "The file store does not answer. Nothing was changed; try again shortly.",
            headers={"Retry-After": "2"},
        )
        self.reason = reason
        """For the log; free of URLs, which are credentials."""

    def __repr__(self) -> str:
        return f"StorageUnavailableError({self.reason!r})"


def upload_not_found(object_name: str) -> Problem:
    """Another user's upload is not told from one that does not exist."""
    detail = f"There is no upload {object_name!r} of this user. Ask for an upload ticket and PUT the file first."
    return Problem(404, ArtifactsProblem.UPLOAD_NOT_FOUND, detail, pointer="/object_name")


def upload_too_large(size_bytes: int, max_bytes: int) -> Problem:
    detail = f"The uploaded file has {size_bytes} bytes; at most {max_bytes} are allowed. Upload a smaller one."
    return Problem(422, ArtifactsProblem.UPLOAD_TOO_LARGE, detail, pointer="/object_name")


def upload_type_mismatch(stored: str, promised: str) -> Problem:
    detail = f"The upload is stored as {stored!r}, but its ticket was for {promised!r}. Ask for a new ticket."
    return Problem(422, ArtifactsProblem.UPLOAD_TYPE_MISMATCH, detail, pointer="/object_name")


def output_missing(name: str) -> Problem:
    detail = f"{name!r} is not in the attempt's folder. Upload it with an output grant, then register it again."
    return Problem(404, ArtifactsProblem.OUTPUT_MISSING, detail)


def output_mismatch(name: str, quality: str, stored: object, claimed: object) -> Problem:
    detail = f"{name!r} is stored with {quality} {stored}, not {claimed}. Upload it again, then register it again."
    return Problem(409, ArtifactsProblem.OUTPUT_MISMATCH, detail)


def output_already_registered(name: str) -> Problem:
    """Not a mismatch, which uploading again may mend."""
    detail = (
        f"{name!r} of this attempt is registered already, with other content. What is registered never changes: give the attempt "
        "up, the next one has a folder of its own."
    )
    return Problem(409, ArtifactsProblem.OUTPUT_ALREADY_REGISTERED, detail)


def attempt_lost() -> Problem:
    """The orchestrator fences such an attempt too; here it hears of it first if it asks first."""
    return Problem(
        409,
        ArtifactsProblem.ATTEMPT_LOST,
        "The job is over, and not by this attempt. Stop it: nothing it makes is needed.",
    )

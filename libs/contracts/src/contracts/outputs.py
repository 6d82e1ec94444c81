"""The files an attempt makes."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.message import Value


class ArtifactKind(StrEnum):
    INPUT = "input"
    MODEL = "model"
    PREVIEW = "preview"
    LOG = "log"


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

OutputName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\.[a-z0-9]{1,8}$")]
"""A plain file name such as ``model.glb``: no folder, no dot file."""


MAX_OUTPUT_BYTES = 2 * 1024**3
"""What an attempt may store as one file."""


class OutputFile(Value):
    """A file in an attempt's own folder of the bucket, as its worker measured it."""

    name: OutputName
    kind: ArtifactKind
    content_type: str
    size_bytes: Annotated[int, Field(ge=0, le=MAX_OUTPUT_BYTES)]
    sha256: Sha256

"""Parameters that several routes take, for their description."""

from typing import Annotated

from fastapi import Path

JobIdInPath = Annotated[
    str, Path(description="An id that is no UUID names no job: 404.", json_schema_extra={"format": "uuid"})
]

"""What a worker may name as the outputs of an attempt."""

import re
from collections.abc import Iterable

from contracts.outputs import ArtifactKind, OutputFile
from service_kit.problems import Problem

_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,63}/[a-z0-9][a-z0-9.+_-]{0,63}(; ?charset=[a-z0-9-]{1,32})?")


def check_outputs(outputs: Iterable[OutputFile]) -> None:
    """Raises a 422 `Problem` for a name used twice, an input among them, or a type that is none."""
    seen = set()
    for index, output in enumerate(outputs):
        if output.name in seen:
            raise _refused(index, "name", f"{output.name!r} is named twice. Name each output once.")
        seen.add(output.name)
        if output.kind is ArtifactKind.INPUT:
            raise _refused(index, "kind", "An output cannot be of the kind 'input'. Say model, preview or log.")
        if not _CONTENT_TYPE.fullmatch(output.content_type):
            detail = f"{output.content_type!r} is not a media type. Write it like 'model/gltf-binary', in lower case."
            raise _refused(index, "content_type", detail)


def _refused(index: int, field: str, detail: str) -> Problem:
    return Problem(422, "invalid_request", detail, pointer=f"/outputs/{index}/{field}")

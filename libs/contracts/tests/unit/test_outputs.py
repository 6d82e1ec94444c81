import pytest
from pydantic import ValidationError

from contracts.outputs import ArtifactKind, OutputFile


def named(name: str) -> OutputFile:
    return OutputFile(name=name, kind=ArtifactKind.MODEL, content_type="x/y", size_bytes=0, sha256="0" * 64)


@pytest.mark.parametrize("name", ["model.glb", "preview.png", "a-b_c0.txt"])
def test_a_plain_file_name_is_accepted(name: str) -> None:
    assert named(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "model", ".env", "../x.glb", "a/b.glb", "a\\b.glb", "Model.glb", "x.glb\n", "x..glb", "a" * 65 + ".glb"],
)
def test_a_name_that_could_leave_the_attempts_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        named(name)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"])
def test_a_digest_is_64_lower_case_hexadecimal_digits(digest: str) -> None:
    with pytest.raises(ValidationError):
        OutputFile(name="a.b", kind=ArtifactKind.LOG, content_type="x/y", size_bytes=0, sha256=digest)

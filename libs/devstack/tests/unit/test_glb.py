import io
import json
import struct
from collections.abc import Mapping

import pytest
from PIL import Image

from devstack.glb import summarise


def glb(document: Mapping[str, object], binary: bytes = b"") -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if binary:
        binary += b"\0" * (-len(binary) % 4)
        chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_triangles_are_counted_over_all_primitives_with_and_without_indices() -> None:
    primitives = [
        {"attributes": {"POSITION": 0}, "indices": 1},
        {"attributes": {"POSITION": 0}},
        {"attributes": {"POSITION": 0}, "mode": 1},  # lines
    ]
    document = {"accessors": [{"count": 9}, {"count": 36}], "meshes": [{"primitives": primitives}]}
    assert summarise(glb(document)).triangles == 12 + 3


def test_textures_are_measured_where_they_lie_in_the_binary_chunk() -> None:
    picture = png(64, 32)
    document = {"images": [{"bufferView": 0}], "bufferViews": [{"byteOffset": 8, "byteLength": len(picture)}]}
    assert summarise(glb(document, b"\0" * 8 + picture)).texture_sizes == ((64, 32),)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "too short"),
        (b"<!DOCTYPE html>", "not a GLB"),
        (glb({})[:-4], "the header says"),
        (struct.pack("<III", 0x46546C67, 2, 12), "no JSON"),
    ],
)
def test_what_is_no_whole_glb_is_refused_with_the_reason(content: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        summarise(content)

"""Reads what a GLB file holds: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#glb-file-format-specification."""

import io
import json
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image

_MAGIC, _VERSION = 0x46546C67, 2
_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_TRIANGLES = 4


@dataclass(frozen=True)
class GlbSummary:
    triangles: int
    texture_sizes: tuple[tuple[int, int], ...]
    """(width, height) in pixels of each embedded image."""
    size_bytes: int


def summarise(content: bytes) -> GlbSummary:
    """Counts the triangles and measures the textures. Raises ValueError for what is not a whole GLB of version 2."""
    document, binary = _chunks(content)
    primitives = [primitive for mesh in document.get("meshes", []) for primitive in mesh["primitives"]]
    return GlbSummary(
        triangles=sum(_triangles(document, primitive) for primitive in primitives),
        texture_sizes=tuple(_size(document, image, binary) for image in document.get("images", [])),
        size_bytes=len(content),
    )


def _chunks(content: bytes) -> tuple[dict[str, Any], bytes]:
    if len(content) < 12:
        raise ValueError("too short for a GLB header")
    magic, version, length = struct.unpack_from("<III", content)
    if magic != _MAGIC or version != _VERSION:
        raise ValueError("not a GLB file of version 2")
    if length != len(content):
        raise ValueError(f"the header says {length} bytes, the file has {len(content)}")
    chunks: dict[int, bytes] = {}
    offset = 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<II", content, offset)
        chunks.setdefault(kind, content[offset + 8 : offset + 8 + size])
        offset += 8 + size
    if _JSON not in chunks:
        raise ValueError("no JSON chunk")
    return json.loads(chunks[_JSON]), chunks.get(_BINARY, b"")


def _triangles(document: dict[str, Any], primitive: dict[str, Any]) -> int:
    if primitive.get("mode", _TRIANGLES) != _TRIANGLES:
        return 0
    accessor = primitive.get("indices", primitive["attributes"]["POSITION"])
    return int(document["accessors"][accessor]["count"]) // 3


def _size(document: dict[str, Any], image: dict[str, Any], binary: bytes) -> tuple[int, int]:
    view = document["bufferViews"][image["bufferView"]]
    start = view.get("byteOffset", 0)
    with Image.open(io.BytesIO(binary[start : start + view["byteLength"]])) as picture:
        return picture.size

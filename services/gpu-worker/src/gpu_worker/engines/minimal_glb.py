"""The smallest honest 3D file: a tetrahedron as binary glTF 2.0, written with the standard library alone."""

import json
import struct
from pathlib import Path

_POSITIONS = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))
_TRIANGLES = ((0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2))  # counter-clockwise seen from outside

_GEOMETRY = b"".join(struct.pack("<3f", *p) for p in _POSITIONS) + b"".join(struct.pack("<3H", *t) for t in _TRIANGLES)
_INDICES_OFFSET = 48
_JSON_BYTES = 640  # room for the document below whatever its byteLength says; the rest is spaces, as the format pads

BARE_BYTES = 12 + 8 + _JSON_BYTES + 8 + len(_GEOMETRY)
"""Size of the file without padding."""


def write_tetrahedron(path: Path, size_bytes: int) -> int:
    """Write a valid GLB of `size_bytes`, rounded up to a multiple of 4 and to at least BARE_BYTES; return its size.

    The padding is zeros at the end of the binary buffer (GLB specification, section 4.4: chunks are 4-byte aligned), left
    to the file system as a hole, so that a large file costs no time to write.
    """
    total = max(BARE_BYTES, -(-size_bytes // 4) * 4)
    buffer_bytes = total - (BARE_BYTES - len(_GEOMETRY))
    document = json.dumps(_document(buffer_bytes), separators=(",", ":")).encode().ljust(_JSON_BYTES)
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, total))
        file.write(struct.pack("<I4s", len(document), b"JSON") + document)
        file.write(struct.pack("<I4s", buffer_bytes, b"BIN\0") + _GEOMETRY)
        file.truncate(total)
    return total


def _document(buffer_bytes: int) -> dict[str, object]:
    return {
        "asset": {"version": "2.0", "generator": "Pipeline 3D simulated-v1"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [-1, -1, -1], "max": [1, 1, 1]},
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": _INDICES_OFFSET, "target": 34962},
            {"buffer": 0, "byteOffset": _INDICES_OFFSET, "byteLength": 24, "target": 34963},
        ],
        "buffers": [{"byteLength": buffer_bytes}],
    }

"""Writes the solid and its texture as one binary glTF 2.0 file."""

import io
from pathlib import Path
from typing import Any

import trimesh
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from gpu_worker.engines.silhouette.photo import Pixels
from gpu_worker.engines.silhouette.solid import Solid

_JPEG_QUALITY = 92
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963


class EncodedJpeg(JpegImageFile):
    """A JPEG that is saved as it was encoded: trimesh would encode it once more, at Pillow's default quality."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__(io.BytesIO(encoded))
        self._encoded = encoded

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:  # noqa: A002, ARG002  Pillow's signature
        fp.write(self._encoded)


def write_model(path: Path, solid: Solid, texture: Pixels) -> None:
    """A GLB with one mesh, vertex normals, and a rough, non-metallic material that carries the RGB `texture` as JPEG."""
    encoded = io.BytesIO()
    Image.fromarray(texture).save(encoded, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    material = PBRMaterial(  # type: ignore[no-untyped-call]  # trimesh types it in part
        name="photo",
        baseColorTexture=EncodedJpeg(encoded.getvalue()),
        metallicFactor=0.0,
        roughnessFactor=0.9,
    )
    coordinates = solid.texture_coordinates.copy()
    coordinates[:, 1] = 1 - coordinates[:, 1]  # trimesh counts from the bottom and turns it over when it writes
    mesh = trimesh.Trimesh(
        solid.vertices,
        solid.triangles,
        vertex_normals=solid.normals,
        visual=TextureVisuals(uv=coordinates, material=material),  # type: ignore[no-untyped-call]  # as above
        process=False,  # it would merge and reorder what is right as it is
    )
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name="object", geom_name="object")
    content: bytes = export_glb(  # type: ignore[no-untyped-call]  # as above
        scene, include_normals=True, tree_postprocessor=_name_targets
    )
    path.write_bytes(content)


def _name_targets(tree: dict[str, Any]) -> None:
    """Say which buffer views are vertices and which indices: trimesh leaves it out, renderers that know it upload faster."""
    for primitive in (p for mesh in tree["meshes"] for p in mesh["primitives"]):
        for accessor in primitive["attributes"].values():
            tree["bufferViews"][tree["accessors"][accessor]["bufferView"]]["target"] = _ARRAY_BUFFER
        tree["bufferViews"][tree["accessors"][primitive["indices"]]["bufferView"]]["target"] = _ELEMENT_ARRAY_BUFFER

"""A picture of the finished solid, ray-cast with Embree: what a person sees before downloading the model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from PIL import Image
from scipy.ndimage import map_coordinates

from gpu_worker.engines.silhouette.photo import Pixels
from gpu_worker.engines.silhouette.solid import Solid

_Floats = npt.NDArray[np.float32]

_AZIMUTH, _ELEVATION = np.radians(28.0), np.radians(14.0)
_FIELD_OF_VIEW = np.radians(26.0)
_FILL = 0.92  # of the picture, by the solid's larger extent
_LIGHT_FROM = (-0.35, 0.65, 0.75)  # right, up, towards the viewer
_AMBIENT = 0.38


@dataclass(frozen=True, slots=True)
class _Hits:
    ray: npt.NDArray[np.intp]
    triangle: npt.NDArray[np.int32]
    weights: _Floats
    """(n, 3) barycentric weights of the triangle's corners."""


def write_preview(path: Path, solid: Solid, texture: Pixels, *, size: int = 512) -> None:
    """A `size` x `size` PNG, transparent where there is no object: a three-quarter view, antialiased by 2 x 2 samples."""
    axes = _camera_axes()
    origins, directions = _rays(solid, axes, 2 * size)
    hits = _cast(solid, origins, directions)
    picture = np.zeros((4 * size * size, 4), np.float32)
    picture[hits.ray, :3] = _shade(solid, texture, hits, axes)
    picture[hits.ray, 3] = 1
    samples = picture.reshape(size, 2, size, 2, 4).mean(axis=(1, 3))
    coverage = samples[..., 3:]
    colour = _to_srgb(samples[..., :3] / np.maximum(coverage, 1e-6))
    pixels = np.concatenate([colour, coverage], axis=2) * 255 + 0.5
    Image.fromarray(pixels.astype(np.uint8)).save(path, "PNG", compress_level=4)


def _camera_axes() -> npt.NDArray[np.float64]:
    """Rows: right, up, towards the viewer."""
    towards = np.array(
        [np.sin(_AZIMUTH) * np.cos(_ELEVATION), np.sin(_ELEVATION), np.cos(_AZIMUTH) * np.cos(_ELEVATION)]
    )
    right = np.cross([0.0, 1.0, 0.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])


def _rays(solid: Solid, axes: npt.NDArray[np.float64], size: int) -> tuple[_Floats, _Floats]:
    """A ray for each sample from one eye, set so that the solid fills the picture."""
    seen = solid.vertices @ axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    half = max(high[0] - low[0], high[1] - low[1]) / 2 / _FILL
    middle = (low + high) / 2
    distance = half / np.tan(_FIELD_OF_VIEW / 2)
    eye = np.array([middle[0], middle[1], high[2] + distance]) @ axes
    across = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(across * half, -across * half)
    local = np.stack([x.ravel(), y.ravel(), np.full(x.size, -distance)], axis=1)
    return np.tile(eye, (x.size, 1)).astype(np.float32), (local @ axes).astype(np.float32)


def _cast(solid: Solid, origins: _Floats, directions: _Floats) -> _Hits:
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, solid.vertices.astype(np.float32), solid.triangles.astype(np.int32))
    found = scene.run(origins, directions, output=True)
    ray = np.flatnonzero(found["primID"] >= 0)
    u, v = found["u"][ray], found["v"][ray]
    return _Hits(ray, found["primID"][ray], np.stack([1 - u - v, u, v], axis=1))


def _shade(solid: Solid, texture: Pixels, hits: _Hits, axes: npt.NDArray[np.float64]) -> _Floats:
    """Linear RGB (n, 3) of each hit: texture, one light and an even ambient, after Lambert."""
    corners = solid.triangles[hits.triangle]
    normals = _interpolated(solid.normals, corners, hits.weights)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = np.array(_LIGHT_FROM) @ axes
    facing = np.clip(normals @ (light / np.linalg.norm(light)).astype(np.float32), 0, 1)
    at = _interpolated(solid.texture_coordinates, corners, hits.weights) * texture.shape[0] - 0.5
    sampled = _sampled(_to_linear(texture), at)
    return sampled * (_AMBIENT + (1.15 - _AMBIENT) * facing)[:, None]


def _interpolated(values: npt.NDArray[np.float64], corners: npt.NDArray[np.int64], weights: _Floats) -> _Floats:
    compact = values.astype(np.float32)
    return sum(compact[corners[:, k]] * weights[:, k : k + 1] for k in range(3))  # type: ignore[return-value]  # never 0


def _sampled(image: _Floats, at: _Floats) -> _Floats:
    """Bilinear samples (n, 3) of an RGB image at pixel positions (n, 2), x first."""
    rows_and_columns = at.T[::-1]
    channels = [
        map_coordinates(image[..., k], rows_and_columns, order=1, mode="nearest", output=np.float32) for k in range(3)
    ]
    return np.stack(channels, axis=1)


def _to_linear(pixels: Pixels) -> _Floats:
    levels = np.arange(256, dtype=np.float32) / 255
    table = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return table[pixels]


def _to_srgb(linear: _Floats) -> _Floats:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)

"""Closes the inflated front with a mirrored back into one watertight mesh."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import trimesh

from gpu_worker.engines.silhouette.foreground import Mask
from gpu_worker.engines.silhouette.inflation import Heights, inflate
from gpu_worker.engines.silhouette.parameters import AUTOMATIC
from gpu_worker.engines.silhouette.triangulation import Points, Triangles, Triangulation, triangulate

_AUTOMATIC_EVEN = 10_000
_AUTOMATIC_ADAPTIVE = 4_000
_FINER = 4  # how many vertices are built for each that an adaptive mesh keeps
_MAX_BUILT = 80_000


@dataclass(frozen=True, slots=True)
class Solid:
    """A closed mesh around the origin: x right, y up, the photo's side facing +z; triangles counter-clockwise from outside.

    `vertices` (n, 3), `triangles` (m, 3), `texture_coordinates` (n, 2) with the origin at the texture's top left (as glTF
    has it), `normals` (n, 3) of unit length.
    """

    vertices: Points
    triangles: Triangles
    texture_coordinates: Points
    normals: Points


def build_solid(mask: Mask, *, vertex_count: int, adaptive: bool, depth: float) -> Solid:
    """The object whose soft mask fills the unit square, `depth` times as thick as it is round, centred in a unit cube.

    Adaptive: built finer, then thinned out by quadric error (Garland & Heckbert 1997) to `vertex_count`.
    Raises ValueError if the object is too thin to have an inside.
    """
    if vertex_count == AUTOMATIC:
        vertex_count = _AUTOMATIC_ADAPTIVE if adaptive else _AUTOMATIC_EVEN
    if not adaptive:
        return _finish(*_even(mask, vertex_count, depth))
    vertices, triangles = _even(mask, min(_FINER * vertex_count, _MAX_BUILT), depth)
    thinned = _thinned(vertices, triangles, vertex_count)
    return _finish(*(thinned or _even(mask, vertex_count, depth)))


def _even(mask: Mask, vertex_count: int, depth: float) -> tuple[Points, Triangles]:
    flat = triangulate(mask, vertex_count)
    return _close(flat, depth * inflate(flat))


def _close(flat: Triangulation, heights: Heights) -> tuple[Points, Triangles]:
    """Front and back share the points on the outline, so that no seam can open."""
    x, y = flat.points[:, 0] - 0.5, 0.5 - flat.points[:, 1]
    inside = np.flatnonzero(~flat.on_outline)
    back_index = np.arange(len(flat.points))
    back_index[inside] = len(flat.points) + np.arange(len(inside))
    front = np.stack([x, y, heights], axis=1)
    back = np.stack([x[inside], y[inside], -heights[inside]], axis=1)
    # Turning y upwards mirrored the triangles: the front's are turned back here, the back's are right as they are.
    triangles = np.concatenate([flat.triangles[:, ::-1], back_index[flat.triangles]])
    return np.concatenate([front, back]), triangles


def _thinned(vertices: Points, triangles: Triangles, vertex_count: int) -> tuple[Points, Triangles] | None:
    """About `vertex_count` of the vertices, or None should the library have torn the surface."""
    target = round(len(triangles) * vertex_count / len(vertices))
    mesh = trimesh.Trimesh(vertices, triangles, process=False).simplify_quadric_decimation(face_count=target)
    if not (mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0):
        return None
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def _finish(vertices: Points, triangles: Triangles) -> Solid:
    texture_coordinates = np.clip(np.stack([vertices[:, 0] + 0.5, 0.5 - vertices[:, 1]], axis=1), 0, 1)
    return Solid(vertices, triangles, texture_coordinates, _normals(vertices, triangles))


def _normals(vertices: Points, triangles: Triangles) -> Points:
    """At each vertex the mean of its triangles' normals, weighted by their area."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    area_normal = np.cross(b - a, c - a)
    total: npt.NDArray[np.float64] = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(area_normal[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-20, total / np.maximum(length, 1e-20), [0.0, 0.0, 1.0])

"""Fills an outline with even triangles: filled marching triangles over an equilateral lattice.

Triangles, not squares: a triangle's corners can be split by the outline in one way only, so there is no ambiguous case and
no place where the outline touches itself. The result is manifold by construction: a lattice point inside is surrounded by
its six triangles' parts, and a point on the outline belongs to exactly one crossed lattice edge.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.ndimage import map_coordinates
from scipy.sparse.csgraph import connected_components

from gpu_worker.engines.silhouette.foreground import Mask

Points = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ROW = np.sqrt(3) / 2
_CLEARANCE = 0.15  # of an edge: crossings stay this far from lattice points, or slivers arise
_FRAGMENT_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Triangulation:
    """`points` (n, 2) in the unit square, x right, y down; `triangles` (m, 3) turn from x to y; `on_outline` (n,)."""

    points: Points
    triangles: Triangles
    on_outline: Flags

    @property
    def solid_vertex_count(self) -> int:
        """How many vertices front and back have together, sharing the outline."""
        return 2 * len(self.points) - int(self.on_outline.sum())


def triangulate(mask: Mask, vertex_count: int) -> Triangulation:
    """The inside of a soft mask over the unit square (inside: > 0.5), for a solid of about `vertex_count` vertices.

    Comes within a few per cent. Raises ValueError if the mask is empty or nowhere as thick as a triangle.
    """
    spacing = np.sqrt(4 / np.sqrt(3) * float((mask > 0.5).mean()) / vertex_count)
    if spacing == 0:
        raise ValueError("the mask is empty")
    for _ in range(5):
        result = triangulate_evenly(mask, spacing)
        ratio = result.solid_vertex_count / vertex_count
        if abs(ratio - 1) < 0.02:
            break
        spacing *= np.sqrt(np.clip(ratio, 0.25, 4.0))
    if len(result.triangles) == 0:
        raise ValueError("the mask is too thin for triangles of this size")
    return result


def triangulate_evenly(mask: Mask, spacing: float) -> Triangulation:
    """As `triangulate`, with triangles of side `spacing`."""
    nodes, lattice_triangles = _lattice(spacing)
    value = _sample(mask, nodes, spacing) - 0.5
    inside = value > 0
    count = inside[lattice_triangles].sum(axis=1)
    whole = lattice_triangles[count == 3]
    near_two, near_one = (_turned(lattice_triangles[count == n], inside, n) for n in (2, 1))
    crossed = np.concatenate([near_two[:, [1, 2]], near_two[:, [0, 2]], near_one[:, [0, 1]], near_one[:, [0, 2]]])
    edges, index = np.unique(crossed, axis=0, return_inverse=True)
    crossing = index.reshape(-1) + len(nodes)
    p, q, r, s = np.split(crossing, np.cumsum([len(near_two), len(near_two), len(near_one)]))
    points = np.concatenate([nodes, _crossings(nodes, value, edges)])
    two = _split_quads(points, near_two[:, 0], near_two[:, 1], p, q)
    triangles = np.concatenate([whole, two, np.stack([near_one[:, 0], r, s], axis=1)])
    return _compacted(points, _without_fragments(triangles, len(points)), len(nodes))


def _lattice(spacing: float) -> tuple[Points, Triangles]:
    """An equilateral lattice over the unit square and two spacings beyond; every other row shifted by half a spacing."""
    columns = int(np.ceil(1 / spacing)) + 5
    rows = int(np.ceil(1 / (spacing * _ROW))) + 5
    row, column = np.mgrid[:rows, :columns]
    x = (column - 2 + 0.5 * (row % 2)) * spacing
    y = (row - 2) * spacing * _ROW
    index = row * columns + column
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    even = (row[:-1, :-1] % 2 == 0)[..., None]
    upper = np.where(even, np.stack([a, b, c], -1), np.stack([a, b, d], -1))
    lower = np.where(even, np.stack([b, d, c], -1), np.stack([a, d, c], -1))
    triangles = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    return np.stack([x.ravel(), y.ravel()], axis=1), triangles.astype(np.int64)


def _sample(mask: Mask, points: Points, spacing: float) -> npt.NDArray[np.float64]:
    """The mask at `points`, blurred to what the lattice can show."""
    resolution = mask.shape[0]
    blurred = cv2.GaussianBlur(mask, (0, 0), sigmaX=max(0.3, 0.4 * spacing * resolution))
    rows_and_columns = (points * resolution - 0.5).T[::-1]
    return np.asarray(map_coordinates(blurred, rows_and_columns, order=1, mode="constant", output=np.float64))


def _turned(triangles: Triangles, inside: Flags, inside_count: int) -> Triangles:
    """Corners turned, not mirrored, so that those inside come first."""
    is_inside = inside[triangles]
    first = np.argmin(is_inside, axis=1) + 1 if inside_count == 2 else np.argmax(is_inside, axis=1)
    turn = (first[:, None] + np.arange(3)) % 3
    turned: Triangles = np.take_along_axis(triangles, turn, axis=1)
    return turned


def _crossings(nodes: Points, value: npt.NDArray[np.float64], edges: Triangles) -> Points:
    """Where the outline crosses each edge (inside point, outside point), by linear interpolation."""
    start, end = edges[:, 0], edges[:, 1]
    fraction = value[start] / (value[start] - value[end])
    fraction = np.clip(fraction, _CLEARANCE, 1 - _CLEARANCE)[:, None]
    return nodes[start] * (1 - fraction) + nodes[end] * fraction


def _split_quads(points: Points, a: Indices, b: Indices, p: Indices, q: Indices) -> Triangles:
    """Each quadrilateral a, b, p, q as two triangles, along the diagonal that makes the smaller of them larger."""
    along_ap = np.stack([np.stack([a, b, p], axis=1), np.stack([a, p, q], axis=1)])
    along_bq = np.stack([np.stack([a, b, q], axis=1), np.stack([b, p, q], axis=1)])
    better = _areas(points, along_ap).min(axis=0) >= _areas(points, along_bq).min(axis=0)
    return np.where(better[:, None], along_ap, along_bq).reshape(-1, 3)


def _areas(points: Points, triangles: Triangles) -> npt.NDArray[np.float64]:
    a, b, c = (points[triangles[..., corner]] for corner in range(3))
    e, f = b - a, c - a
    areas: npt.NDArray[np.float64] = np.abs(e[..., 0] * f[..., 1] - e[..., 1] * f[..., 0]) / 2
    return areas


def _without_fragments(triangles: Triangles, point_count: int) -> Triangles:
    """Without the crumbs that a thin spot, too thin for the lattice, leaves behind."""
    if len(triangles) == 0:
        return triangles
    links = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(point_count, point_count))
    _, piece = connected_components(graph, directed=False)
    piece_of_triangle = piece[triangles[:, 0]]
    size = np.bincount(piece_of_triangle)
    kept: Triangles = triangles[size[piece_of_triangle] >= _FRAGMENT_SHARE * len(triangles)]
    return kept


def _compacted(points: Points, triangles: Triangles, node_count: int) -> Triangulation:
    used, index = np.unique(triangles, return_inverse=True)
    return Triangulation(points[used], index.reshape(-1, 3).astype(np.int64), used >= node_count)

"""Blows a flat shape up like a balloon.

Solve the Poisson equation -Δu = 4 inside the outline with u = 0 on it; the height is √u. On a disc that is exactly a
hemisphere, elsewhere the roundness follows the local width. The method of Repoussé (Joshi & Carr, "Repoussé: Automatic
Inflation of 2D Artwork", SBIM 2008), as used by Monster Mash (Dvorožňák et al., ACM ToG 39(6), 2020).
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from gpu_worker.engines.silhouette.triangulation import Points, Triangles, Triangulation

Heights = npt.NDArray[np.float64]


def inflate(flat: Triangulation) -> Heights:
    """The height (n,) of each point over the plane, in the units of the points; 0 exactly on the outline, above 0 inside."""
    heights = np.zeros(len(flat.points))
    inside = np.flatnonzero(~flat.on_outline)
    stiffness, area = _laplacian(flat.points, flat.triangles)
    system = stiffness[inside][:, inside].tocsc()
    # Symmetric positive definite: no pivoting needed, and an ordering for symmetric patterns fills in far less.
    solver = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    u = solver.solve(4 * area[inside])
    smallest = 1e-4 * area[inside].mean()  # where a triangle is too obtuse for the maximum principle
    heights[inside] = np.sqrt(np.maximum(u, smallest))
    return heights


def _laplacian(points: Points, triangles: Triangles) -> tuple[sparse.csr_array, npt.NDArray[np.float64]]:
    """Linear finite elements: the cotangent stiffness matrix and each point's share of the area."""
    corner = points[triangles]
    rows, columns, weights = [], [], []
    for opposite in range(3):
        i, j = (opposite + 1) % 3, (opposite + 2) % 3
        e, f = corner[:, i] - corner[:, opposite], corner[:, j] - corner[:, opposite]
        doubled_area = np.abs(e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0])
        half_cotangent = 0.5 * (e * f).sum(axis=1) / doubled_area
        rows += [triangles[:, i], triangles[:, j], triangles[:, i], triangles[:, j]]
        columns += [triangles[:, j], triangles[:, i], triangles[:, i], triangles[:, j]]
        weights += [-half_cotangent, -half_cotangent, half_cotangent, half_cotangent]
    size = len(points)
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    stiffness = sparse.csr_array(sparse.coo_array(entries, shape=(size, size)))
    area = np.bincount(triangles.ravel(), weights=np.repeat(doubled_area / 6, 3), minlength=size).astype(
        np.float64, copy=False
    )
    return stiffness, area

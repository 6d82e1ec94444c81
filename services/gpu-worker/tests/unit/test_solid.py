"""From a mask to a closed mesh: filled with triangles, inflated, closed."""

import cv2
import numpy as np
import pytest
import trimesh

from gpu_worker.engines.silhouette.inflation import inflate
from gpu_worker.engines.silhouette.parameters import AUTOMATIC
from gpu_worker.engines.silhouette.solid import Solid, build_solid
from gpu_worker.engines.silhouette.triangulation import triangulate

SIDE = 512


def canvas() -> np.ndarray:
    return np.zeros((SIDE, SIDE), np.float32)


def soft(mask: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(mask, (0, 0), 1.5)


def disc(radius: float = 0.4) -> np.ndarray:
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    return np.clip((radius - np.hypot(x, y)) * SIDE + 0.5, 0, 1).astype(np.float32)


def noise() -> np.ndarray:
    random = np.random.default_rng(5).normal(size=(SIDE, SIDE)).astype(np.float32)
    blurred = cv2.GaussianBlur(random, (0, 0), 14)
    blurred[:20], blurred[-20:], blurred[:, :20], blurred[:, -20:] = -1, -1, -1, -1
    return np.clip(blurred / blurred.std() * 5 + 0.5, 0, 1)


SHAPES = {
    "disc": disc(),
    "ring": disc() * (1 - disc(0.2)),
    "touching the frame": cv2.rectangle(canvas(), (0, 60), (SIDE - 1, 400), 1.0, -1),
    "two that touch at a corner": soft(
        cv2.rectangle(cv2.rectangle(canvas(), (60, 60), (255, 255), 1.0, -1), (256, 256), (450, 450), 1.0, -1)
    ),
    "checkerboard": soft(np.kron((np.indices((8, 8)).sum(axis=0) % 2), np.ones((64, 64))).astype(np.float32)),
    "thin cross": soft(cv2.line(cv2.line(canvas(), (40, 40), (470, 470), 1.0, 14), (40, 470), (470, 40), 1.0, 14)),
    "islands with bays and holes": noise(),
}


def as_mesh(solid: Solid) -> trimesh.Trimesh:
    return trimesh.Trimesh(solid.vertices, solid.triangles, process=False)


@pytest.mark.parametrize("adaptive", [False, True], ids=["even", "adaptive"])
@pytest.mark.parametrize("mask", SHAPES.values(), ids=SHAPES)
def test_every_shape_becomes_one_closed_surface_that_faces_outwards(mask, adaptive):
    solid = build_solid(mask, vertex_count=3_000, adaptive=adaptive, depth=0.8)
    mesh = as_mesh(solid)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert all(body.volume > 0 for body in mesh.split(only_watertight=False))
    assert mesh.area_faces.min() > 0
    _, uses = np.unique(mesh.edges_sorted, axis=0, return_counts=True)
    assert (uses == 2).all(), "an edge that is not shared by exactly two triangles"
    assert len(np.unique(solid.triangles)) == len(solid.vertices), "a vertex that nothing uses"


def test_no_two_fans_of_triangles_share_only_a_vertex():
    solid = build_solid(SHAPES["checkerboard"], vertex_count=3_000, adaptive=False, depth=0.8)
    mesh = as_mesh(solid)
    ring_sizes = np.bincount(solid.triangles.ravel(), minlength=len(solid.vertices))
    neighbours = np.array([len(around) for around in mesh.vertex_neighbors])
    assert (ring_sizes == neighbours).all()


@pytest.mark.parametrize("vertex_count", [500, 2_000, 20_000])
@pytest.mark.parametrize("adaptive", [False, True], ids=["even", "adaptive"])
def test_the_mesh_has_about_as_many_vertices_as_asked_for(vertex_count, adaptive):
    solid = build_solid(SHAPES["ring"], vertex_count=vertex_count, adaptive=adaptive, depth=0.8)
    assert len(solid.vertices) == pytest.approx(vertex_count, rel=0.08)


def test_the_automatic_choice_is_leaner_where_triangles_adapt():
    even, adaptive = (build_solid(disc(), vertex_count=AUTOMATIC, adaptive=a, depth=0.8) for a in (False, True))
    assert len(adaptive.vertices) < len(even.vertices) / 2
    assert as_mesh(adaptive).volume == pytest.approx(as_mesh(even).volume, rel=0.01)


def test_a_disc_becomes_a_ball():
    flat = triangulate(disc(0.4), 8_000)
    radius = np.hypot(*(flat.points - 0.5).T)
    chosen = radius < 0.98 * 0.4  # at the very rim a ball is vertical, and any error in place is one in height
    np.testing.assert_allclose(inflate(flat)[chosen], np.sqrt(0.4**2 - radius[chosen] ** 2), atol=0.004)


def test_a_long_strip_becomes_a_tube_of_its_width():
    half = 50 / SIDE
    mask = canvas()
    mask[SIDE // 2 - 50 : SIDE // 2 + 50, :] = 1
    flat = triangulate(mask, 8_000)
    x, y = (flat.points - 0.5).T
    chosen = (np.abs(x) < 0.1) & (np.abs(y) < 0.95 * half)
    np.testing.assert_allclose(inflate(flat)[chosen], np.sqrt(2 * (half**2 - y[chosen] ** 2)), atol=0.004)


def test_depth_scales_the_thickness_and_nothing_else():
    thin, thick = (build_solid(disc(), vertex_count=1_000, adaptive=False, depth=d) for d in (0.4, 0.8))
    np.testing.assert_allclose(thick.vertices, thin.vertices * [1, 1, 2])


def test_the_solid_stands_as_gltf_wants_it():
    """y up, the photo's side towards +z, the texture's origin at its top left."""
    upper_right = canvas()
    cv2.circle(upper_right, (380, 130), 80, 1.0, -1)
    solid = build_solid(upper_right, vertex_count=1_000, adaptive=False, depth=0.8)
    x, y, z = solid.vertices.mean(axis=0)
    assert x == pytest.approx(380 / SIDE - 0.5, abs=0.01)
    assert y == pytest.approx(0.5 - 130 / SIDE, abs=0.01)
    assert z == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(solid.texture_coordinates, solid.vertices[:, :2] * [1, -1] + 0.5)
    np.testing.assert_allclose(np.linalg.norm(solid.normals, axis=1), 1)
    outwards = ((solid.vertices - solid.vertices.mean(axis=0)) * solid.normals).sum(axis=1)
    assert (outwards > 0).all()


@pytest.mark.parametrize("mask", [canvas(), cv2.circle(canvas(), (256, 256), 0, 0.4, -1)], ids=["empty", "a hint"])
def test_nothing_has_no_volume(mask):
    with pytest.raises(ValueError, match="mask"):
        build_solid(mask, vertex_count=1_000, adaptive=False, depth=0.8)


def test_no_triangle_is_a_sliver():
    flat = triangulate(SHAPES["islands with bays and holes"], 5_000)
    corner = flat.points[flat.triangles]
    lengths = np.linalg.norm(corner - np.roll(corner, 1, axis=1), axis=2)
    e, f = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = np.abs(e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]) / 2
    quality = 4 * np.sqrt(3) * area / (lengths**2).sum(axis=1)  # 1 for an equilateral triangle
    assert quality.min() > 0.2

"""silhouette-v1 from a photo's file to the model's."""

import io
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from PIL import Image

from contracts.failures import FailureCode
from contracts.states import Stage
from gpu_worker.engines.base import EngineFailure, GenerationRequest, GenerationResult
from gpu_worker.engines.silhouette.engine import SilhouetteEngine
from gpu_worker.engines.silhouette.texture import paint

SMALL = {"texture_resolution": 256, "vertex_count": 1_000}

Made = tuple[GenerationResult, list[tuple[Stage, float]]]


@pytest.fixture(scope="module")
def engine():
    engine = SilhouetteEngine()
    engine.setup()
    return engine


def generate(engine: SilhouetteEngine, request: GenerationRequest) -> Made:
    """The result, and the progress that was reported on the way."""
    seen: list[tuple[Stage, float]] = []
    return engine.generate(request, lambda *step: seen.append(step)), seen


@pytest.fixture
def make(engine, new_request):
    """Runs the engine on an image."""

    def run(image: Path | None, **input_params) -> Made:
        return generate(engine, new_request(image=image, **input_params))

    return run


@pytest.fixture(scope="module")
def made_of_coffee(engine, tmp_path_factory) -> Made:
    """What the engine makes of a real photo by default."""
    photo = Path(__file__).parents[4] / "tests" / "assets" / "coffee.jpg"
    return generate(engine, GenerationRequest({}, None, photo, tmp_path_factory.mktemp("coffee")))


@pytest.fixture
def made_of_cutout(make, cutout) -> Made:
    return make(cutout, remesh="triangle")


def load(result: GenerationResult) -> trimesh.Trimesh:
    return trimesh.load_mesh(result.outputs[0].path, process=False)


@pytest.mark.parametrize("made", ["made_of_coffee", "made_of_cutout"])
def test_a_picture_becomes_a_valid_closed_textured_model(request, gltf_complaints, made):
    result, _ = request.getfixturevalue(made)
    model, preview = result.outputs
    assert (model.name, model.kind, model.content_type) == ("model.glb", "model", "model/gltf-binary")
    assert (preview.name, preview.kind, preview.content_type) == ("preview.png", "preview", "image/png")
    assert gltf_complaints(model.path) == []
    mesh = load(result)
    assert mesh.is_watertight
    assert mesh.volume > 0.01
    assert {"vertices": len(mesh.vertices), "triangles": len(mesh.faces), "texture_size": 1024} == result.facts
    material = mesh.visual.material
    assert material.baseColorTexture.size == (1024, 1024)
    assert (material.metallicFactor, material.roughnessFactor) == (0.0, 0.9)


def test_the_model_shows_the_photo_the_right_way_round(make, tmp_path):
    """Red above left, green above right, blue below: seen from +z so, whatever the axes and texture origins between."""
    picture = np.zeros((300, 300, 4), np.uint8)
    picture[:150, :150] = (250, 0, 0, 255)
    picture[:150, 150:] = (0, 250, 0, 255)
    picture[150:] = (0, 0, 250, 255)
    picture[..., 3] = cv2.circle(np.zeros((300, 300), np.uint8), (150, 150), 120, 255, -1)
    Image.fromarray(picture).save(tmp_path / "quarters.png")
    result, _ = make(tmp_path / "quarters.png", **SMALL)
    mesh = load(result)
    colours = mesh.visual.to_color().vertex_colors[:, :3].astype(int)
    x, y, _ = mesh.vertices.T
    margin = 0.05
    for where, channel in [
        ((x < -margin) & (y > margin), 0),
        ((x > margin) & (y > margin), 1),
        (y < -margin, 2),
    ]:
        assert (colours[where].argmax(axis=1) == channel).all()
        assert colours[where, channel].min() > 180


def test_no_background_shows_at_the_rim(make, tmp_path):
    picture = np.full((300, 300, 3), (20, 200, 40), np.uint8)
    cv2.circle(picture, (150, 150), 90, (230, 60, 50), -1, cv2.LINE_AA)
    Image.fromarray(picture).save(tmp_path / "ball.png")
    result, _ = make(tmp_path / "ball.png", **SMALL)
    texture = np.asarray(load(result).visual.material.baseColorTexture.convert("RGB")).astype(int)
    assert (texture[..., 0] > texture[..., 1] + 80).all()


def test_paint_leaves_the_object_itself_untouched():
    square = np.random.default_rng(1).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    mask = cv2.circle(np.zeros((64, 64), np.float32), (32, 32), 20, 1.0, -1)
    inner = cv2.circle(np.zeros((128, 128), np.uint8), (64, 64), 34, 1, -1) > 0
    np.testing.assert_array_equal(paint(square, mask)[inner], square[inner])


def test_the_preview_shows_the_object_before_nothing(made_of_coffee):
    result, _ = made_of_coffee
    with Image.open(result.outputs[1].path) as image:
        picture = np.asarray(image)
    assert picture.shape == (512, 512, 4)
    alpha = picture[..., 3]
    assert alpha[0].max() == alpha[-1].max() == alpha[:, 0].max() == alpha[:, -1].max() == 0
    assert 0.3 < (alpha == 255).mean() < 0.8
    _, _, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    assert max(width, height) > 400
    assert (alpha > 0).sum() > (alpha == 255).sum(), "no antialiasing"
    assert picture[alpha == 255, :3].std() > 30, "no texture"


def test_progress_is_honest(made_of_coffee):
    _, seen = made_of_coffee
    stages = [stage for stage, _ in itertools.groupby(seen, key=lambda step: step[0])]
    assert stages == [Stage.SEGMENT, Stage.INFLATE, Stage.TEXTURE, Stage.EXPORT]
    for _, group in itertools.groupby(seen, key=lambda step: step[0]):
        fractions = [fraction for _, fraction in group]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_the_same_photo_gives_the_same_bytes(make, coffee):
    def made() -> list[bytes]:
        return [output.path.read_bytes() for output in make(coffee, **SMALL)[0].outputs]

    assert made() == made()


def test_parameters_do_what_they_say(make, cutout):
    plain = load(make(cutout, **SMALL)[0])
    changed, _ = make(cutout, texture_resolution=512, vertex_count=3_000, foreground_ratio=1.0, depth=0.2)
    assert plain.extents[:2].max() == pytest.approx(0.85, abs=0.02)
    assert load(changed).extents[:2].max() == pytest.approx(1.0, abs=0.02)
    assert load(changed).extents[2] == pytest.approx(plain.extents[2] / 4 / 0.85, rel=0.05)
    assert changed.facts["texture_size"] == 512
    assert changed.facts["vertices"] == pytest.approx(3_000, rel=0.05)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"not an image", FailureCode.INVALID_IMAGE),
        (b"", FailureCode.INVALID_IMAGE),
    ],
)
def test_a_bad_image_fails_with_its_code(make, tmp_path, content, code):
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(EngineFailure) as caught:
        make(path)
    assert caught.value.code is code


def test_without_an_image_there_is_nothing_to_do(make):
    with pytest.raises(EngineFailure, match="send one") as caught:
        make(None)
    assert caught.value.code is FailureCode.INVALID_PARAMETER


def test_a_hair_is_too_thin_for_a_volume(make, tmp_path):
    picture = np.zeros((1000, 1000, 4), np.uint8)
    picture[500, 100:900] = 255
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    (tmp_path / "hair.png").write_bytes(buffer.getvalue())
    with pytest.raises(EngineFailure) as caught:
        make(tmp_path / "hair.png")
    assert caught.value.code is FailureCode.NO_FOREGROUND


async def test_it_runs_in_a_process_of_its_own(start_engine, new_request, coffee):
    engine = await start_engine("silhouette-v1")
    seen = []
    result = await engine.generate(new_request(image=coffee, **SMALL), lambda stage, _: seen.append(stage))
    assert result.facts["vertices"] == pytest.approx(1_000, rel=0.05)
    assert set(seen) == {Stage.SEGMENT, Stage.INFLATE, Stage.TEXTURE, Stage.EXPORT}
    assert engine.log_tail == ""

import cv2
import numpy as np
import pytest

from contracts.failures import FailureCode
from gpu_worker.engines.base import EngineFailure
from gpu_worker.engines.silhouette.foreground import Foreground, find_foreground
from gpu_worker.engines.silhouette.frame import Frame
from gpu_worker.engines.silhouette.photo import Photo

SIDE = 300


def disc(centre: tuple[int, int], radius: int) -> np.ndarray:
    return cv2.circle(np.zeros((SIDE, SIDE), np.uint8), centre, radius, 255, -1)


def photo_of(shape: np.ndarray, *, noise: float = 6.0) -> Photo:
    """An orange object before a grey-blue wall, both a little noisy."""
    random = np.random.default_rng(3)
    picture = np.where(shape[..., None] > 0, (220, 130, 40), (90, 105, 120)) + random.normal(0, noise, (SIDE, SIDE, 3))
    return Photo(np.clip(picture, 0, 255).astype(np.uint8), None)


def in_photo(foreground: Foreground) -> np.ndarray:
    """The mask brought back to the photo's own pixels."""
    return Frame(0, 0, SIDE).mask(foreground, SIDE) > 0.5


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("centre", [(150, 150), (100, 180), (200, 90)])
def test_an_object_is_cut_from_its_background(centre):
    shape = disc(centre, 60)
    assert overlap(in_photo(find_foreground(photo_of(shape))), shape > 0) > 0.97


def test_transparency_decides_where_there_is_any():
    shape = disc((150, 150), 60)
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    assert overlap(in_photo(find_foreground(Photo(noise, shape))), shape > 0) > 0.98


def test_an_opaque_alpha_channel_decides_nothing():
    shape = disc((150, 150), 60)
    photo = Photo(photo_of(shape).rgb, np.full((SIDE, SIDE), 255, np.uint8))
    assert overlap(in_photo(find_foreground(photo)), shape > 0) > 0.97


def test_a_real_hole_stays_open_and_a_pinhole_is_closed():
    shape = disc((150, 150), 90)
    shape[disc((150, 150), 35) > 0] = 0
    shape[disc((150, 85), 2) > 0] = 0
    found = in_photo(find_foreground(photo_of(shape)))
    assert not found[150, 150]
    assert found[85, 150]


def test_specks_beside_the_object_are_dropped_and_a_companion_is_kept():
    shape = disc((90, 150), 60) | disc((240, 150), 45) | disc((160, 40), 6)
    found = in_photo(find_foreground(Photo(photo_of(shape).rgb, shape)))
    assert found[150, 90]
    assert found[150, 240]
    assert not found[40, 160]


NOTHING_TO_SEE = {
    "one colour": Photo(np.full((SIDE, SIDE, 3), 128, np.uint8), None),
    "white": Photo(np.full((SIDE, SIDE, 3), 255, np.uint8), None),
    "faint noise": photo_of(np.zeros((SIDE, SIDE), np.uint8), noise=1.0),
    "fully transparent": Photo(np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8)),
}


@pytest.mark.parametrize("photo", NOTHING_TO_SEE.values(), ids=NOTHING_TO_SEE)
def test_where_nothing_stands_out_there_is_no_foreground(photo):
    with pytest.raises(EngineFailure) as caught:
        find_foreground(photo)
    assert caught.value.code is FailureCode.NO_FOREGROUND


@pytest.mark.parametrize("ratio", [0.5, 0.85, 1.0])
def test_the_object_fills_its_share_of_the_frame_and_is_centred(ratio):
    shape = cv2.ellipse(np.zeros((SIDE, SIDE), np.uint8), (120, 170), (70, 35), 0, 0, 360, 255, -1)
    foreground = find_foreground(Photo(photo_of(shape).rgb, shape))
    framed = (Frame.around(foreground, ratio).mask(foreground, 400) > 0.5).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(framed)
    assert width / 400 == pytest.approx(ratio, abs=0.02)
    assert (x + width / 2, y + height / 2) == (pytest.approx(200, abs=4), pytest.approx(200, abs=4))


def test_a_frame_that_reaches_beyond_the_photo_goes_on_with_its_edge():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, -1] = (9, 8, 7)
    cut = Frame(left=30, top=-10, side=20).cut(picture, 20)
    assert cut.shape == (20, 20, 3)
    np.testing.assert_array_equal(cut[:, 12:], np.broadcast_to((9, 8, 7), (20, 8, 3)))

"""Tells the object from its background: by transparency where there is any, else by colour."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from contracts.failures import FailureCode
from gpu_worker.engines.base import EngineFailure
from gpu_worker.engines.silhouette.photo import Photo, Pixels
from gpu_worker.engines.silhouette.segmentation import cut_out, refine

Mask = npt.NDArray[np.float32]

_COARSE_SIDE = 256
_FINE_SIDE = 448
_MARGIN = 0.12
_MEANINGFUL_TRANSPARENCY = 0.005
_COMPANION_SHARE = 0.25
_SMALL_HOLE_SHARE = 0.004


@dataclass(frozen=True, slots=True)
class Foreground:
    """`mask` is 1 on the object, 0 off it, soft between; its corner lies at photo pixel (`left`, `top`), and one of its
    pixels spans `scale` pixels of the photo."""

    mask: Mask
    left: float
    top: float
    scale: float


def find_foreground(photo: Photo) -> Foreground:
    """The object in the photo. Raises EngineFailure(NO_FOREGROUND) where nothing stands out."""
    if photo.alpha is not None and np.mean(photo.alpha < 128) >= _MEANINGFUL_TRANSPARENCY:
        opaque = (photo.alpha >= 128).astype(np.uint8)
        left, top, right, bottom = _box(opaque, 1.0, opaque.shape)
        alpha = _shrink(photo.alpha[top:bottom, left:right], _FINE_SIDE)
        mask = _tidy((alpha >= 128).astype(np.uint8)).astype(np.float32) * alpha.astype(np.float32) / np.float32(255)
        return _smooth(mask, left, top, (right - left) / alpha.shape[1])
    coarse_image = _shrink(photo.rgb, _COARSE_SIDE)
    coarse = _tidy(cut_out(coarse_image))
    left, top, right, bottom = _box(coarse, photo.rgb.shape[1] / coarse.shape[1], photo.rgb.shape)
    fine_image = _shrink(photo.rgb[top:bottom, left:right], _FINE_SIDE)
    scale = (right - left) / fine_image.shape[1]
    fine = _tidy(refine(fine_image, _resampled(coarse, photo.rgb.shape, (left, top, right, bottom), fine_image.shape)))
    return _smooth(fine.astype(np.float32), left, top, scale)


def _shrink(image: Pixels, max_side: int) -> Pixels:
    factor = max_side / max(image.shape[:2])
    if factor >= 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _box(mask: Pixels, scale: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the object, with a margin, in pixels of the photo of that `shape`."""
    if not mask.any():
        raise EngineFailure(FailureCode.NO_FOREGROUND, "the image is fully transparent; send one that shows an object")
    x, y, width, height = cv2.boundingRect(mask)
    margin = max(width, height) * _MARGIN
    return (
        max(0, int((x - margin) * scale)),
        max(0, int((y - margin) * scale)),
        min(shape[1], int(np.ceil((x + width + margin) * scale))),
        min(shape[0], int(np.ceil((y + height + margin) * scale))),
    )


def _resampled(
    coarse: Pixels, photo_shape: tuple[int, ...], box: tuple[int, int, int, int], shape: tuple[int, ...]
) -> Pixels:
    """The coarse mask of the whole photo, cut to `box` and brought to the fine image's `shape`."""
    left, top, right, bottom = box
    per_pixel = coarse.shape[1] / photo_shape[1]
    rows = ((np.arange(shape[0]) + 0.5) * (bottom - top) / shape[0] + top) * per_pixel
    columns = ((np.arange(shape[1]) + 0.5) * (right - left) / shape[1] + left) * per_pixel
    rows_index = np.clip(rows.astype(int), 0, coarse.shape[0] - 1)
    columns_index = np.clip(columns.astype(int), 0, coarse.shape[1] - 1)
    cut: Pixels = coarse[np.ix_(rows_index, columns_index)]
    return cut


def _tidy(mask: Pixels) -> Pixels:
    """The largest piece and those nearly as large, without specks; pinholes closed, real holes left open."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if areas.size == 0:
        text = "no object stands out from the background; send a photo of one object on a plain background, or a cut-out PNG"
        raise EngineFailure(FailureCode.NO_FOREGROUND, text)
    wanted = np.concatenate([[False], areas >= _COMPANION_SHARE * areas.max()])
    kept: npt.NDArray[np.bool_] = wanted[labels]
    _, holes, hole_stats, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=8)
    small = hole_stats[:, cv2.CC_STAT_AREA] < _SMALL_HOLE_SHARE * kept.sum()
    small[0] = False
    tidy: Pixels = (kept | small[holes]).astype(np.uint8)
    return tidy


def _smooth(mask: Mask, left: int, top: int, scale: float) -> Foreground:
    """A soft outline, free of the pixel staircase, with room around it for the softness."""
    pad = 4
    padded = cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.GaussianBlur(padded, (0, 0), sigmaX=1.5).astype(np.float32, copy=False)
    return Foreground(soft, left - pad * scale, top - pad * scale, scale)

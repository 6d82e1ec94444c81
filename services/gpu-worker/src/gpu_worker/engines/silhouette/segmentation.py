"""Cuts one object out of an opaque photo, by GrabCut (Rother, Kolmogorov & Blake 2004) started from the photo's border.

What touches the border is taken for background; what differs from its colours, the more so near the middle, is the first
guess at the object. `refine` then looks closer, at the object alone.
"""

import cv2
import numpy as np
import numpy.typing as npt

from contracts.failures import FailureCode
from gpu_worker.engines.base import EngineFailure
from gpu_worker.engines.silhouette.photo import Pixels

_BORDER_SHARE = 0.03
_BORDER_COLOURS = 6
_MIN_CONTRAST = 7.0  # CIE76 difference; below about 2 the eye sees none
_MIN_AREA_SHARE = 0.004
_SEED = 7

_Distances = npt.NDArray[np.float32]


def cut_out(image: Pixels) -> Pixels:
    """A 0/1 mask of the object in the (height, width, 3) RGB `image`. Deterministic.

    Raises EngineFailure(NO_FOREGROUND) if nothing differs enough from the border.
    """
    labels = _first_guess(image)
    mask = _grab_cut(image, labels, iterations=5)
    if mask.mean() < _MIN_AREA_SHARE:
        raise _no_foreground()
    return mask


def refine(image: Pixels, guess: Pixels) -> Pixels:
    """The `guess` at an object's mask made exact: only a band along its outline may still change sides."""
    band = max(3, round(0.03 * max(guess.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    labels = np.where(guess > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(guess, kernel) > 0] = cv2.GC_FGD
    labels[cv2.dilate(guess, kernel) == 0] = cv2.GC_BGD
    refined = _grab_cut(image, labels, iterations=2)
    return refined if refined.any() else guess


def _first_guess(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).astype(np.float32, copy=False)
    strip = max(2, round(_BORDER_SHARE * min(height, width)))
    border = np.ones((height, width), bool)
    border[strip:-strip, strip:-strip] = False
    difference = _difference_from(lab[border], lab)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    centrality = np.exp(-(rows**2 + columns**2)).astype(np.float32)
    saliency = difference * centrality
    saliency /= saliency.max() + 1e-6
    threshold, _ = cv2.threshold((saliency * 255).astype(np.uint8), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    salient = (saliency * 255 > threshold) & ~border
    if not salient.any() or np.median(difference[salient]) < _MIN_CONTRAST:
        raise _no_foreground()
    labels = np.where(salient, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[border] = cv2.GC_BGD
    return labels


def _difference_from(samples: npt.NDArray[np.float32], lab: npt.NDArray[np.float32]) -> _Distances:
    """How far each pixel's colour is from the nearest of the samples' typical colours, in CIE76 units."""
    cv2.setRNGSeed(_SEED)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    count = min(_BORDER_COLOURS, len(samples))
    _, _, centres = cv2.kmeans(samples, count, np.empty(0, np.int32), criteria, 1, cv2.KMEANS_PP_CENTERS)
    distances: _Distances = np.stack([np.linalg.norm(lab - centre, axis=2) for centre in centres]).min(axis=0)
    return distances


def _grab_cut(image: Pixels, labels: Pixels, iterations: int) -> Pixels:
    if not np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).any():
        return np.zeros(labels.shape, np.uint8)
    if not np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        return np.ones(labels.shape, np.uint8)
    cv2.setRNGSeed(_SEED)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    result, _, _ = cv2.grabCut(image, labels, (0, 0, 0, 0), *models, iterations, cv2.GC_INIT_WITH_MASK)
    return np.isin(result, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)


def _no_foreground() -> EngineFailure:
    text = (
        "no object stands out from the background; send a photo of one object on a plain background, or a cut-out PNG"
    )
    return EngineFailure(FailureCode.NO_FOREGROUND, text)

"""The photo as base colour, its object's colours carried on past the outline so that no background shows at the rim."""

import cv2
import numpy as np
import numpy.typing as npt

from gpu_worker.engines.silhouette.foreground import Mask
from gpu_worker.engines.silhouette.photo import Pixels

_MIXED_SHARE = 0.006  # of the texture's side: how deep along the outline pixels may be mixed with background
_BLUR_SHARE = 0.004

Index = npt.NDArray[np.intp]


def paint(square: Pixels, mask: Mask) -> Pixels:
    """The (n, n, 3) RGB `square` with everything outside the object's soft `mask` painted in its nearest colours."""
    side = square.shape[0]
    solid = (cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.uint8)
    trusted = _core(solid, round(_MIXED_SHARE * side))
    extended = square[_nearest(trusted)]
    blurred = cv2.GaussianBlur(extended, (0, 0), sigmaX=max(0.8, _BLUR_SHARE * side))
    return np.where(trusted[..., None], square, blurred).astype(np.uint8, copy=False)


def _core(solid: Pixels, depth: int) -> Pixels:
    """1 where a pixel surely shows the object: at least `depth` pixels inside, or as deep as the object goes."""
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_3)
    return (distance > min(depth, 0.5 * float(distance.max()))).astype(np.uint8)


def _nearest(trusted: Pixels) -> tuple[Index, Index]:
    """For each pixel the row and column of the trusted pixel closest to it."""
    _, labels = cv2.distanceTransformWithLabels(
        1 - trusted, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(trusted)
    row_of_label = np.zeros(labels.max() + 1, np.intp)
    column_of_label = np.zeros(labels.max() + 1, np.intp)
    row_of_label[labels[rows, columns]] = rows
    column_of_label[labels[rows, columns]] = columns
    return row_of_label[labels], column_of_label[labels]

"""The square cut of the photo that becomes the texture, and the unit square the mesh is built in."""

from dataclasses import dataclass

import cv2
import numpy as np

from gpu_worker.engines.silhouette.foreground import Foreground, Mask
from gpu_worker.engines.silhouette.photo import Pixels


@dataclass(frozen=True, slots=True)
class Frame:
    """A square of `side` photo pixels whose corner lies at photo pixel (`left`, `top`). May reach beyond the photo."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, foreground: Foreground, foreground_ratio: float) -> "Frame":
        """Centred on the object, whose longer side fills `foreground_ratio` of it."""
        x, y, width, height = cv2.boundingRect((foreground.mask > 0.5).astype(np.uint8))
        side = max(1, round(max(width, height) * foreground.scale / foreground_ratio))
        centre_x = foreground.left + (x + width / 2) * foreground.scale
        centre_y = foreground.top + (y + height / 2) * foreground.scale
        return cls(round(centre_x - side / 2), round(centre_y - side / 2), side)

    def cut(self, image: Pixels, resolution: int) -> Pixels:
        """The framed part of the photo at `resolution` x `resolution`; beyond the photo's edge its last pixels go on."""
        height, width = image.shape[:2]
        rows = np.clip(np.arange(self.top, self.top + self.side), 0, height - 1)
        columns = np.clip(np.arange(self.left, self.left + self.side), 0, width - 1)
        square = image[rows[:, None], columns[None, :]]
        method = cv2.INTER_AREA if self.side > resolution else cv2.INTER_CUBIC
        return cv2.resize(square, (resolution, resolution), interpolation=method).astype(np.uint8, copy=False)

    def mask(self, foreground: Foreground, resolution: int) -> Mask:
        """The object's soft mask over the frame, at `resolution` x `resolution`; 0 where nothing is known."""
        step = self.side / resolution / foreground.scale  # mask pixels a frame pixel
        matrix = np.array(
            [
                [step, 0, (self.left - foreground.left) / foreground.scale + 0.5 * step - 0.5],
                [0, step, (self.top - foreground.top) / foreground.scale + 0.5 * step - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(foreground.mask, matrix, (resolution, resolution), flags=flags).astype(
            np.float32, copy=False
        )

"""Reads whatever image a person uploads into 8-bit sRGB, upright and no larger than needed, or says why it cannot be."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from contracts.failures import FailureCode
from gpu_worker.engines.base import EngineFailure

MAX_PIXELS = 64_000_000
MIN_SIDE = 16
_FORMATS = ("PNG", "JPEG", "WEBP")
_SRGB = ImageCms.createProfile("sRGB")

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Photo:
    """`rgb` is (height, width, 3); `alpha` is (height, width) or None where the image has no transparency."""

    rgb: Pixels
    alpha: Pixels | None


def read_photo(path: Path, max_side: int) -> Photo:
    """The first frame of a PNG, JPEG or WebP, its longer side at most `max_side` pixels.

    Raises EngineFailure: INVALID_IMAGE (not an image, truncated, empty), UNSUPPORTED_IMAGE (another format, or tiny),
    IMAGE_TOO_LARGE (by the header's word, before any pixel is decoded).
    """
    Image.MAX_IMAGE_PIXELS = None  # Pillow would only warn up to twice its limit; ours, below, is exact
    with _as_invalid_image(), _open(path) as image:
        _check_size(image)
        small = _shrunk(image, max_side)
        upright = ImageOps.exif_transpose(small)
        return _to_srgb(upright)


@contextlib.contextmanager
def _as_invalid_image() -> Iterator[None]:
    """Pillow's decoders raise almost anything on bad bytes; none of it is our fault or worth a stack trace to the user."""
    try:
        yield
    except (EngineFailure, MemoryError):
        raise
    except Exception as error:
        text = f"the image is damaged or incomplete ({error}); export it again and upload it anew"
        raise EngineFailure(FailureCode.INVALID_IMAGE, text) from error


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError:
        pass
    try:
        with Image.open(path) as image:
            text = f"{image.format} images are not supported; send a PNG, JPEG or WebP"
            raise EngineFailure(FailureCode.UNSUPPORTED_IMAGE, text)
    except UnidentifiedImageError as error:
        text = "the file is not an image; send a PNG, JPEG or WebP"
        raise EngineFailure(FailureCode.INVALID_IMAGE, text) from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        text = f"the image has {width} x {height} pixels; scale it to at most {MAX_PIXELS // 1_000_000} megapixels"
        raise EngineFailure(FailureCode.IMAGE_TOO_LARGE, text)
    if min(width, height) < MIN_SIDE:
        text = f"the image has only {width} x {height} pixels; send one of at least {MIN_SIDE} x {MIN_SIDE}"
        raise EngineFailure(FailureCode.UNSUPPORTED_IMAGE, text)


def _shrunk(image: Image.Image, max_side: int) -> Image.Image:
    factor = max_side / max(image.size)
    target = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    if factor < 1:
        image.draft(None, target)  # a JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the time
    plain = _to_smooth_mode(image)
    return plain.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0) if factor < 1 else plain


def _to_smooth_mode(image: Image.Image) -> Image.Image:
    """One of L, RGB, RGBA, CMYK, YCbCr, LAB: modes that can be resized smoothly."""
    if image.mode.startswith("I"):  # 16 bits a sample
        samples = np.asarray(image).astype(np.uint32)
        return _with_info(Image.fromarray((np.minimum(samples, 65_535) // 257).astype(np.uint8)), image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in {"1", "P"}:
        return image.convert("RGB")
    image.load()
    return image


def _with_info(image: Image.Image, source: Image.Image) -> Image.Image:
    image.info.update(source.info)
    return image


def _to_srgb(image: Image.Image) -> Photo:
    alpha = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
    colour = image.convert("RGB") if alpha is not None else image
    return Photo(rgb=np.asarray(_through_profile(colour).convert("RGB")), alpha=alpha)


def _through_profile(image: Image.Image) -> Image.Image:
    """The image in sRGB if it brings a colour profile that says it is not; as it is if the profile is of no use."""
    profile_bytes = image.info.get("icc_profile")
    if not profile_bytes:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
        if ImageCms.getProfileDescription(profile).startswith("sRGB"):
            return image
        return ImageCms.profileToProfile(image, profile, _SRGB, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image

"""Everything a person may upload as a picture: it is read right, or refused with the code that says why."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from contracts.failures import FailureCode
from gpu_worker.engines.base import EngineFailure
from gpu_worker.engines.silhouette.photo import read_photo

RED, BLUE = (220, 30, 30), (30, 30, 220)


@pytest.fixture
def saved(tmp_path: Path):
    """Writes an image, or bytes, to a file."""

    def save(content: Image.Image | bytes, name: str = "photo.png", **options) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **options)
        return path

    return save


def red_over_blue(width: int = 64, height: int = 64) -> Image.Image:
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (0, height // 2, width, height))
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises more pixels than it has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg_bomb() -> bytes:
    """A small JPEG whose header says 30,000 x 30,000."""
    jpeg = bytearray(encoded(red_over_blue(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 30_000, 30_000)
    return bytes(jpeg)


BAD = {
    "empty": (b"", FailureCode.INVALID_IMAGE),
    "text": (b"I am not a picture. " * 100, FailureCode.INVALID_IMAGE),
    "truncated PNG": (encoded(red_over_blue(256, 256), "PNG", compress_level=0)[:9_000], FailureCode.INVALID_IMAGE),
    "truncated JPEG": (encoded(red_over_blue(256, 256), "JPEG")[:700], FailureCode.INVALID_IMAGE),
    "truncated WebP": (encoded(red_over_blue(256, 256), "WEBP")[:-40], FailureCode.INVALID_IMAGE),
    "only a PNG's signature": (b"\x89PNG\r\n\x1a\n", FailureCode.INVALID_IMAGE),
    "fewer pixels than promised": (png_header(300, 300), FailureCode.INVALID_IMAGE),
    "PNG bomb": (png_header(30_000, 30_000), FailureCode.IMAGE_TOO_LARGE),
    "JPEG bomb": (jpeg_bomb(), FailureCode.IMAGE_TOO_LARGE),
    "GIF": (encoded(red_over_blue(), "GIF"), FailureCode.UNSUPPORTED_IMAGE),
    "TIFF": (encoded(red_over_blue(), "TIFF"), FailureCode.UNSUPPORTED_IMAGE),
    "one pixel": (encoded(red_over_blue(1, 1), "PNG"), FailureCode.UNSUPPORTED_IMAGE),
}


@pytest.mark.parametrize(("content", "code"), BAD.values(), ids=BAD)
def test_bad_images_are_refused_with_the_code_that_says_why(saved, content, code):
    with pytest.raises(EngineFailure) as caught:
        read_photo(saved(content), 512)
    assert caught.value.code is code


GOOD = {
    "PNG": encoded(red_over_blue(), "PNG"),
    "JPEG": encoded(red_over_blue(), "JPEG", quality=95),
    "WebP": encoded(red_over_blue(), "WEBP", lossless=True),
    "palette": encoded(red_over_blue().quantize(4), "PNG"),
    "CMYK": encoded(red_over_blue().convert("CMYK"), "JPEG", quality=95),
    "animated PNG": encoded(red_over_blue(), "PNG", save_all=True, append_images=[Image.new("RGB", (64, 64), "green")]),
    "animated WebP": encoded(
        red_over_blue(), "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (64, 64), "green")]
    ),
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_all_kinds_of_images_show_the_same(saved, content):
    photo = read_photo(saved(content), 512)
    assert photo.rgb.shape == (64, 64, 3)
    assert photo.alpha is None
    np.testing.assert_allclose(photo.rgb[10, 32], RED, atol=12)
    np.testing.assert_allclose(photo.rgb[54, 32], BLUE, atol=12)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_taken_in_any_position_stands_upright(saved, orientation):
    turned_back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = red_over_blue(96, 64)
    stored = image.transpose(turned_back[orientation]) if orientation > 1 else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read_photo(saved(stored, "photo.jpg", exif=exif, quality=95), 48)
    assert photo.rgb.shape == (32, 48, 3)
    np.testing.assert_allclose(photo.rgb[4, 24], RED, atol=12)
    np.testing.assert_allclose(photo.rgb[28, 24], BLUE, atol=12)


def test_sixteen_bits_keep_their_brightness(saved):
    samples = np.linspace(0, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
    photo = read_photo(saved(Image.fromarray(samples)), 512)
    np.testing.assert_allclose(photo.rgb[..., 0], samples / 257, atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_found_in_every_mode_that_has_it(saved, mode):
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((200, 200, 200, 255), (16, 16, 48, 48))
    path = saved(image.quantize(8) if mode == "P" else image.convert(mode))
    photo = read_photo(path, 512)
    assert photo.alpha is not None
    assert photo.alpha[2, 2] == 0
    assert photo.alpha[32, 32] == 255
    np.testing.assert_allclose(photo.rgb[32, 32], 200, atol=2)


def test_a_large_photo_is_scaled_to_the_side_that_is_needed(saved):
    photo = read_photo(saved(red_over_blue(3000, 1500), "photo.jpg"), 600)
    assert photo.rgb.shape == (300, 600, 3)


def test_colours_of_a_wide_profile_are_brought_to_srgb(saved):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    plain = read_photo(saved(red_over_blue(), icc_profile=lab.tobytes()), 512)
    np.testing.assert_array_equal(plain.rgb[10, 32], RED)
    broken = read_photo(saved(red_over_blue(), icc_profile=b"not a profile"), 512)
    np.testing.assert_array_equal(broken.rgb[10, 32], RED)


def test_memory_running_out_is_not_the_images_fault(saved, monkeypatch):
    def no_memory(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr("gpu_worker.engines.silhouette.photo._shrunk", no_memory)
    with pytest.raises(MemoryError):
        read_photo(saved(red_over_blue()), 512)

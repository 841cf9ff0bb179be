"""Every mode that Pillow opens, and what becomes of it: literal pixels."""

import dataclasses
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from square import original, square

from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.decode import decode, rgb_array

NEW = square(1)
U16 = np.array([[0, 255, 256, 32768, 65535]], np.uint16)


def saved(array: Any, kind: str, mode: str | None = None, **options: Any) -> bytes:
    image = array if isinstance(array, Image.Image) else Image.fromarray(np.array(array, np.uint8))
    file = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def tiff(values: Any, kind: str, *, photometric: int = 1, sample_format: int = 1) -> bytes:
    """A grey TIFF by hand, for Pillow does not write all that it reads."""
    array = np.array([values], kind)
    data, bits = array.tobytes(), array.itemsize * 8
    short = {258: bits, 259: 1, 262: photometric, 277: 1, 339: sample_format}
    long = {256: len(values), 257: 1, 273: 8, 278: 1, 279: len(data)}
    tags = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in short.items()]
    tags += [struct.pack("<HHII", tag, 4, 1, value) for tag, value in long.items()]
    directory = struct.pack("<H", len(tags)) + b"".join(sorted(tags)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def deep_png(colors: int, values: list[int]) -> bytes:
    """A PNG of one row with 16 bits a sample, of colour type 2 (RGB), 4 (LA) or 6 (RGBA), which Pillow cannot write."""
    samples = {2: 3, 4: 2, 6: 4}[colors]
    header = struct.pack(">IIBBBBB", len(values) // samples, 1, 16, colors, 0, 0, 0)
    rows = zlib.compress(b"\0" + np.array(values, ">u2").tobytes())
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def palette(transparency: Any) -> bytes:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([200, 100, 50, 10, 20, 30, 60, 70, 80])
    return saved(image, "PNG", transparency=transparency)


def gif() -> bytes:
    frames = [Image.new("RGB", (2, 1), color) for color in ((255, 0, 0), (0, 0, 255))]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def grey(*levels: int) -> list[list[int]]:
    return [[level] * 3 for level in levels]


TABLE: dict[str, tuple[Callable[[], bytes], list[list[int]]]] = {
    "L": (lambda: saved([[0, 128, 255]], "PNG"), grey(0, 128, 255)),
    "1": (lambda: saved([[0, 255]], "PNG", "1"), grey(0, 255)),
    "16-bit grey PNG": (lambda: saved(Image.fromarray(U16), "PNG"), grey(0, 0, 1, 128, 255)),
    "16-bit grey PNG with a transparent level": (
        lambda: saved(Image.fromarray(U16), "PNG", transparency=0),
        grey(255, 0, 1, 128, 255),
    ),
    "16-bit grey TIFF": (lambda: saved(Image.fromarray(U16), "TIFF"), grey(0, 0, 1, 128, 255)),
    "16-bit grey TIFF, big end first": (
        lambda: saved(Image.fromarray(U16.astype(">u2")), "TIFF"),
        grey(0, 0, 1, 128, 255),
    ),
    "16-bit grey TIFF, white is zero": (lambda: tiff([0, 32768, 65535], "<u2", photometric=0), grey(255, 127, 0)),
    "16-bit grey JPEG 2000": (lambda: saved(Image.fromarray(U16), "JPEG2000"), grey(0, 0, 1, 128, 255)),
    "16-bit PGM": (lambda: saved(Image.fromarray(U16), "PPM"), grey(0, 0, 1, 128, 255)),
    "12-bit PGM": (lambda: b"P5 3 1 4095\n" + np.array([0, 2048, 4095], ">u2").tobytes(), grey(0, 128, 255)),
    "10-bit PGM as text": (lambda: b"P2 3 1 1023\n0 512 1023\n", grey(0, 128, 255)),
    "signed 16-bit TIFF": (lambda: tiff([0, 16384, 32767], "<i2", sample_format=2), grey(0, 128, 255)),
    "32-bit TIFF": (lambda: tiff([0, 2**31, 2**32 - 1], "<u4"), grey(0, 128, 255)),
    "signed 32-bit TIFF": (lambda: tiff([0, 2**30, 2**31 - 1], "<i4", sample_format=2), grey(0, 128, 255)),
    "float TIFF": (lambda: tiff([0, 0.25, 0.5, 1], "<f4", sample_format=3), grey(0, 64, 128, 255)),
    "float TIFF, white is zero": (lambda: tiff([0, 1], "<f4", photometric=0, sample_format=3), grey(255, 0)),
    "PFM": (lambda: saved(Image.fromarray(np.array([[0, 0.25, 1]], np.float32)), "PPM"), grey(0, 64, 255)),
    "16-bit RGB PNG": (lambda: deep_png(2, [0, 32768, 65535, 256, 255, 512]), [[0, 128, 255], [1, 0, 2]]),
    "16-bit RGBA PNG": (lambda: deep_png(6, [0, 32768, 65535, 65535, 0, 0, 0, 0]), [[0, 128, 255], [255] * 3]),
    "16-bit LA PNG": (lambda: deep_png(4, [32768, 65535, 0, 0]), grey(128, 255)),
    "palette": (lambda: palette(None), [[200, 100, 50], [10, 20, 30], [60, 70, 80]]),
    "palette with one transparent color": (lambda: palette(1), [[200, 100, 50], [255, 255, 255], [60, 70, 80]]),
    "palette with transparency": (
        lambda: palette(bytes([255, 0, 51])),
        [[200, 100, 50], [255, 255, 255], [216, 218, 220]],
    ),
    "LA": (lambda: saved(Image.fromarray(np.array([[[9, 255], [9, 0]]], np.uint8)), "PNG"), grey(9, 255)),
    "RGBA": (
        lambda: saved([[[1, 2, 3, 255], [1, 2, 3, 0], [0, 100, 200, 51]]], "PNG"),
        [[1, 2, 3], [255, 255, 255], [204, 224, 244]],
    ),
    "RGB with a transparent color": (
        lambda: saved([[[1, 2, 3], [4, 5, 6]]], "PNG", transparency=(1, 2, 3)),
        [[255, 255, 255], [4, 5, 6]],
    ),
    "CMYK TIFF": (
        lambda: saved(
            Image.fromarray(np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8), "CMYK"), "TIFF"
        ),
        [[255, 255, 255], [0, 255, 255], [0, 0, 0]],
    ),
    "CMYK JPEG": (
        lambda: saved(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "JPEG", quality=100, subsampling=0),
        [[255, 0, 0]],
    ),
    "animated GIF": (gif, [[255, 0, 0]] * 2),
    "MPO": (
        lambda: saved(
            Image.new("RGB", (1, 1), (200, 200, 200)), "MPO", save_all=True, append_images=[Image.new("RGB", (1, 1))]
        ),
        [[200, 200, 200]],
    ),
    "ICC profile": (lambda: saved([[[1, 2, 3]]], "PNG", icc_profile=b"any"), [[1, 2, 3]]),
}


@pytest.mark.parametrize("kind", TABLE)
def test_the_table(kind: str) -> None:
    make, expected = TABLE[kind]
    data = make()
    assert decode(data, NEW).tolist() == [expected]
    # An image that Pillow has opened is taken as its file is.
    assert rgb_array(Image.open(io.BytesIO(data)), NEW).tolist() == [expected]


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_as_the_original_it_is_pillows_own_conversion(kind: str) -> None:
    data = TABLE[kind][0]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data, original(1)), expected)


def test_over_black() -> None:
    black = dataclasses.replace(NEW, background="black")
    assert decode(TABLE["RGBA"][0](), black).tolist() == [[[1, 2, 3], [0, 0, 0], [0, 20, 40]]]
    assert decode(TABLE["palette with one transparent color"][0](), black)[0, 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff([0, 1.5], "<f4", sample_format=3), "expected floats from 0 to 1, found 0 to 1.5"),
        (tiff([-0.5, 1], "<f4", sample_format=3), "expected floats from 0 to 1, found -0.5 to 1"),
        (tiff([0, np.nan], "<f4", sample_format=3), "expected floats from 0 to 1, found nan to nan"),
        (tiff([-7, 5], "<i2", sample_format=2), "expected signed integers of at least 0, found -7"),
        (tiff([-7, 5], "<i4", sample_format=2), "expected signed integers of at least 0, found -7"),
    ],
)
def test_another_range_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CorruptImage) as error:
        decode(data, NEW)
    assert str(error.value) == reason


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA", "RGBX", "YCbCr", "HSV", "I;16B", "I;16L"])
def test_modes_that_only_a_caller_has(mode: str) -> None:
    image = rgb_array(Image.new(mode, (2, 1)), NEW)
    assert (image.shape, image.dtype) == ((1, 2, 3), np.uint8)

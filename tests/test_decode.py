import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageOps
from square import original, square

from jaxnext.data import decode as module
from jaxnext.data.bad_image import CorruptImage, TooManyPixels
from jaxnext.data.decode import decode
from jaxnext.data.folder_source import class_folder_source
from jaxnext.data.remarks import remarks_of
from jaxnext.errors import JaxnextError

AS_IT_IS = original(1)


def photograph(height: int = 45, width: int = 61, mode: str = "RGB", seed: int = 0) -> Image.Image:
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pillow(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def transparent_palette() -> bytes:
    image = photograph().quantize(16)
    return encode(image, "PNG", transparency=bytes(range(0, 256, 16)))


def rotated_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(photograph(), "JPEG", exif=exif)


def deep(mode: str, kind: str) -> bytes:
    levels = np.linspace(0, 65535, 20 * 30).reshape(20, 30)
    return encode(Image.fromarray(levels.astype({"I;16": np.uint16, "F": np.float32}[mode])), kind)


def subsampled(kind: str) -> bytes:
    """A JPEG with colours at a resolution that Pillow cannot write."""
    return simplejpeg.encode_jpeg(np.array(photograph()), 85, "RGB", kind)


def deep_rgb() -> bytes:
    """A PNG with 16 bits a colour, which Pillow cannot write: every chunk by hand."""
    levels = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


JPEGS: dict[str, Callable[[], bytes]] = {
    "grey": lambda: encode(photograph(mode="L"), "JPEG"),
    "4:4:4": lambda: encode(photograph(), "JPEG", subsampling=0),
    "4:2:2": lambda: encode(photograph(), "JPEG", subsampling=1),
    "4:2:0": lambda: encode(photograph(), "JPEG", subsampling=2),
    "4:4:0": lambda: subsampled("440"),
    "4:1:1": lambda: subsampled("411"),
    "progressive": lambda: encode(photograph(), "JPEG", progressive=True),
    "progressive grey": lambda: encode(photograph(mode="L"), "JPEG", progressive=True),
    "restart markers": lambda: encode(photograph(), "JPEG", restart_marker_blocks=2),
    "one pixel": lambda: encode(photograph(1, 1), "JPEG"),
    "one row": lambda: encode(photograph(1, 33), "JPEG"),
    "17x9": lambda: encode(photograph(17, 9), "JPEG", quality=30),
    "rotated by EXIF": rotated_by_exif,
    "trailing bytes": lambda: encode(photograph(), "JPEG") + b"more",
}
OTHERS: dict[str, Callable[[], bytes]] = {
    "CMYK JPEG": lambda: encode(photograph(mode="CMYK"), "JPEG"),
    "progressive CMYK JPEG": lambda: encode(photograph(mode="CMYK"), "JPEG", progressive=True),
    "RGB JPEG": lambda: encode(photograph(), "JPEG", keep_rgb=True),
    "MPO": lambda: encode(photograph(), "MPO", save_all=True, append_images=[photograph(seed=1)]),
    "PNG": lambda: encode(photograph(), "PNG"),
    "RGBA PNG": lambda: encode(photograph(mode="RGBA"), "PNG"),
    "palette PNG": lambda: encode(photograph().quantize(16), "PNG"),
    "16-bit RGB PNG": deep_rgb,
    "palette PNG with transparency": transparent_palette,
    "LA PNG": lambda: encode(photograph(mode="LA"), "PNG"),
    "1-bit PNG": lambda: encode(photograph(mode="1"), "PNG"),
    "16-bit PNG": lambda: deep("I;16", "PNG"),
    "16-bit TIFF": lambda: deep("I;16", "TIFF"),
    "float TIFF": lambda: deep("F", "TIFF"),
    "GIF": lambda: encode(photograph(), "GIF", save_all=True, append_images=[photograph(seed=1)]),
    "BMP": lambda: encode(photograph(), "BMP"),
    "WebP": lambda: encode(photograph(), "WEBP"),
    "YCbCr TIFF": lambda: encode(photograph(mode="YCbCr"), "TIFF"),
}


@pytest.mark.parametrize("kind", [*JPEGS, *OTHERS])
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_pixels_are_pillows(kind: str) -> None:
    data = (JPEGS | OTHERS)[kind]()
    pixels = decode(data, AS_IT_IS)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, pillow(data))


@pytest.mark.skipif(not module._PILLOW_HAS_TURBO, reason="Pillow has another JPEG library")
def test_which_files_take_the_fast_path() -> None:
    fast = set()
    for kind, make in (JPEGS | OTHERS).items():
        data = make()
        image = Image.open(io.BytesIO(data))
        if image.format == "JPEG" and module._decode_jpeg(data, image) is not None:
            fast.add(kind)
    assert fast == set(JPEGS)


TURNED = {
    1: [[0, 1, 2], [3, 4, 5]],
    2: [[2, 1, 0], [5, 4, 3]],
    3: [[5, 4, 3], [2, 1, 0]],
    4: [[3, 4, 5], [0, 1, 2]],
    5: [[0, 3], [1, 4], [2, 5]],
    6: [[3, 0], [4, 1], [5, 2]],
    7: [[5, 2], [4, 1], [3, 0]],
    8: [[2, 5], [1, 4], [0, 3]],
    9: [[0, 1, 2], [3, 4, 5]],
}
"""By the value of the tag, what becomes of [[0, 1, 2], [3, 4, 5]]."""


def with_orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("value", TURNED)
def test_orientation_by_hand(value: int) -> None:
    levels = np.array([[0, 1, 2], [3, 4, 5]], np.uint8)
    data = encode(Image.fromarray(levels), "PNG", exif=with_orientation(value))
    assert decode(data, square(1))[..., 0].tolist() == TURNED[value]
    assert decode(data, AS_IT_IS)[..., 0].tolist() == levels.tolist()
    opened = Image.open(io.BytesIO(data))
    assert module.rgb_array(opened, square(1))[..., 0].tolist() == TURNED[value]


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("MPO", "RGB", {"save_all": True, "append_images": [photograph(seed=1)]}),
        ("TIFF", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("WEBP", "RGB", {}),
        ("AVIF", "RGB", {}),
    ],
)
def test_orientation_is_pillows(kind: str, mode: str, options: dict[str, object]) -> None:
    for value in range(1, 9):
        data = encode(photograph(12, 20, mode), kind, exif=with_orientation(value), **options)
        turned = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
        assert turned.shape == ((12, 20, 3) if value < 5 else (20, 12, 3))
        np.testing.assert_array_equal(decode(data, square(1)), turned)
        # Pillow turns a TIFF whenever it loads one.
        stored = turned if kind == "TIFF" else pillow(data)
        np.testing.assert_array_equal(decode(data, AS_IT_IS), stored)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_that_cannot_be_read_says_nothing() -> None:
    data = encode(photograph(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    np.testing.assert_array_equal(decode(data, square(1)), pillow(data))


def test_orientation_in_xmp_counts() -> None:
    data = encode(photograph(), "JPEG", xmp=b'<x:xmpmeta tiff:Orientation="6"/>')
    assert decode(data, square(1)).shape == (61, 45, 3)


def test_what_is_said_of_an_image() -> None:
    remarks: list[str] = []
    for data in (OTHERS["GIF"](), JPEGS["4:2:0"](), encode(photograph(), "JPEG", icc_profile=b"any")):
        decode(data, square(1), lambda image: remarks.extend(remarks_of(image)))
    assert remarks == ["frames", "profile"]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["grey", "4:2:0", "4:4:0", "progressive", "restart markers", "CMYK JPEG", "PNG", "GIF"]),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_meet_pillows_verdict(kind: str, cut: float, changes: list[tuple[float, int]]) -> None:
    data = bytearray((JPEGS | OTHERS)[kind]())
    for place, value in changes:
        data[int(place * len(data))] = value
    damaged = bytes(data[: round(cut * len(data))])
    try:
        expected = pillow(damaged)
    except Exception:
        with pytest.raises(CorruptImage):
            decode(damaged, AS_IT_IS)
    else:
        np.testing.assert_array_equal(decode(damaged, AS_IT_IS), expected)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image", "not an image that Pillow can read"),
        (encode(photograph(), "JPEG")[:700], "image file is truncated"),
        (encode(photograph(), "PNG")[:-60], "image file is truncated"),
        (encode(photograph(), "JPEG")[:1], "not an image that Pillow can read"),
    ],
)
def test_reasons(data: bytes, reason: str) -> None:
    with pytest.raises(CorruptImage) as caught:
        decode(data, AS_IT_IS)
    assert str(caught.value).startswith(reason)
    assert isinstance(caught.value, JaxnextError)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("pixels", [2744, 1000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_an_error(monkeypatch: pytest.MonkeyPatch, kind: str, pixels: int) -> None:
    data = encode(photograph(), kind)  # 2745 pixels: Pillow warns above its limit and fails above twice that.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
    with pytest.raises(CorruptImage, match=r"2745|61x45"):
        decode(data, AS_IT_IS)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2745)
    assert decode(data, AS_IT_IS).shape == (45, 61, 3)


def test_an_image_with_more_pixels_than_are_wanted_is_refused_from_its_header() -> None:
    data = encode(photograph(), "PNG")
    assert decode(data, AS_IT_IS, max_pixels=2745).shape == decode(data, AS_IT_IS).shape
    with pytest.raises(TooManyPixels, match=r"pixels are more than the limit of 2744$"):
        # Its pixels could not be read.
        decode(data[:100], AS_IT_IS, max_pixels=2744)


def test_only_the_formats_that_are_wanted_are_tried() -> None:
    data = encode(photograph(), "PNG")
    assert decode(data, AS_IT_IS, formats=("JPEG", "PNG")).shape == decode(data, AS_IT_IS).shape
    with pytest.raises(CorruptImage, match=r"^not an image that Pillow can read$"):
        decode(data, AS_IT_IS, formats=("JPEG",))


def test_the_content_counts_not_the_name(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "1.jpg", "PNG")
    source = class_folder_source(tmp_path)
    assert source.names == ("a/1.jpg",)
    np.testing.assert_array_equal(decode(source.read(0), AS_IT_IS), pixels)


def test_postscript_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "EPS")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("run"))
    with pytest.raises(CorruptImage, match=r"^PostScript is a program, not an image$"):
        decode(file.getvalue(), AS_IT_IS)

"""Images of any of Pillow's modes as 8-bit RGB, and upright.

Integers of more than eight bits keep their highest eight, as Pillow itself does with colours of 16 bits: what is white
in the file's type is white. Signed ones have one bit less. Floats from 0 to 1 are times 255, to the nearest. What has
another range is refused, for it would come out black or white. Two kinds of files say more than their type: a PGM,
whose largest value Pillow stretches to 16 bits, and a TIFF, whose tags have the bits and whether 0 is white.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.pixels import Pixels

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""
_WHITE_IS_ZERO, _SIGNED = 0, 2


def to_rgb(image: Image.Image, pixels: Pixels) -> Image.Image:
    """Return an image of any mode in mode RGB, not yet turned.

    Args:
        image: as Pillow opened or made it; it is loaded.
        pixels: say what becomes of deep and of transparent pixels.

    Raises:
        CorruptImage: values that are not in the range of their type.
        ValueError: a mode that Pillow does not convert, such as LAB.
    """
    image.load()
    if pixels.depth == "scale" and image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if pixels.background != "ignore" and image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        ground = Image.new("RGBA", image.size, pixels.background)
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert("RGB")


def upright(image: Image.Image, origin: Image.Image, pixels: Pixels) -> Image.Image:
    """Return an image turned as the EXIF of another says, as ``PIL.ImageOps.exif_transpose`` would turn that.

    Args:
        image: the pixels.
        origin: of which they are, loaded.
        pixels: say whether it is to be turned at all.
    """
    turn = turn_of(origin) if pixels.orientation == "exif" else None
    return image if turn is None else image.transpose(turn)


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return how a loaded image has to be turned. A TIFF is turned by Pillow when it is loaded: ``None``."""
    return _TURNS.get(orientation_of(image))


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation that a loaded image still has, from 1 to 8; 1 where it has none."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return value if value in _TURNS else 1
    except MemoryError:
        raise
    except Exception:  # EXIF that cannot be read, in one of many ways, says nothing: such files are shown as stored.
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of integers or floats in mode L, or LA where one grey level means transparent."""
    values = np.asarray(image)
    tags: Any = getattr(image, "tag_v2", {})
    levels = _of_floats(values) if image.mode == "F" else _of_integers(values, *_range(image, tags))
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        levels = 255 - levels
    result = Image.fromarray(levels)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        result.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return result


def _range(image: Image.Image, tags: Any) -> tuple[int, bool]:
    """Bits of an image's integers, and whether they are signed."""
    if _BITS_PER_SAMPLE in tags:
        return int(tags[_BITS_PER_SAMPLE][0]), tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    # Pillow stretches a PGM of more than eight bits to 16, and has it in a mode of 32.
    return (16, False) if image.mode != "I" or image.format in ("PPM", "PNG") else (32, True)


def _of_integers(values: NDArray[Any], bits: int, signed: bool) -> NDArray[np.uint8]:
    if signed and values.min() < 0:
        raise CorruptImage(f"expected signed integers of at least 0, found {values.min()}")
    # Pillow's 32 bits are signed, whatever they are in the file.
    wide = values.view(np.uint32) if values.dtype.itemsize == 4 else values
    return (wide >> (bits - signed - 8)).astype(np.uint8)


def _of_floats(values: NDArray[Any]) -> NDArray[np.uint8]:
    if not (values.min() >= 0 and values.max() <= 1):  # also of NaN
        raise CorruptImage(f"expected floats from 0 to 1, found {values.min():g} to {values.max():g}")
    return np.rint(values * 255).astype(np.uint8)

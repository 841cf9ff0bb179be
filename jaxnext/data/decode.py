"""Image files to pixels: exactly those of Pillow, sooner where it is a JPEG."""

import io
from collections.abc import Callable

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError, features

from jaxnext.data import heif
from jaxnext.data.bad_image import CorruptImage, TooManyPixels
from jaxnext.data.modes import to_rgb, turn_of, upright
from jaxnext.data.pixels import Pixels
from jaxnext.errors import one_line
from jaxnext.types import UInt8Image

PIXELS_VERSION = 2
"""To be raised whenever ``decode`` or ``resize`` gives other pixels for a file: decoded caches are then filled anew."""

# Both libraries then run the same arithmetic; another JPEG library behind Pillow may round otherwise.
_PILLOW_HAS_TURBO = features.check_feature("libjpeg_turbo") is True


def decode(
    data: bytes,
    pixels: Pixels,
    look: Callable[[Image.Image], object] | None = None,
    *,
    formats: tuple[str, ...] | None = None,
    max_pixels: int | None = None,
) -> UInt8Image:
    """Decode one image file as Pillow does; of several frames or pages the first is taken, ICC profiles are ignored.

    Pillow reads the header of every file. The pixels of grey and YCbCr JPEGs then come from simplejpeg, which gives the
    same ones in less time. Where it has anything to complain about, Pillow decides.

    Args:
        data: the bytes of the file.
        pixels: say what becomes of orientation, depth and transparency; its size does not matter.
        look: called with the image that Pillow has opened, once its pixels have been taken, for what else it says.
        formats: names that Pillow has for the formats to try, HEIF besides; ``None``: all.
        max_pixels: refused from the header, where an image has more; ``None``: only Pillow's own limit.

    Returns:
        uint8 ``[height, width, 3]``, RGB.

    Raises:
        CorruptImage: not an image, truncated, with values outside of their type's range, or with more pixels than
            ``max_pixels`` or Pillow's ``Image.MAX_IMAGE_PIXELS``, from which on Pillow warns of a decompression bomb;
            ``TooManyPixels`` is of the last two.
    """
    if not data:
        raise CorruptImage("the file is empty")
    if heif.is_heif(data):
        heif.register()
        formats = formats and ("HEIF",)
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            result = _decode(data, image, pixels, max_pixels)
            if look is not None:
                look(image)
            return result
    except (CorruptImage, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise TooManyPixels(one_line(error)) from error
    except UnidentifiedImageError as error:
        raise CorruptImage("not an image that Pillow can read") from error
    except Exception as error:  # Pillow's decoders meet broken bytes with many types of exception.
        raise CorruptImage(one_line(error)) from error


def rgb_array(image: Image.Image, pixels: Pixels) -> UInt8Image:
    """Return the pixels of an image that Pillow opened or made, as those of its file: uint8 ``[height, width, 3]``."""
    return np.array(upright(to_rgb(image, pixels), image, pixels))


def _decode(data: bytes, image: Image.Image, pixels: Pixels, max_pixels: int | None) -> UInt8Image:
    if image.format == "EPS":
        # Pillow would have Ghostscript run it.
        raise CorruptImage("PostScript is a program, not an image")
    limit = min((most for most in (Image.MAX_IMAGE_PIXELS, max_pixels) if most is not None), default=None)
    if limit is not None and image.width * image.height > limit:
        # Warning filters belong to the whole process, so that a thread cannot turn the warning into an error.
        raise TooManyPixels(f"{image.width}x{image.height} pixels are more than the limit of {limit}")
    quick = _decode_jpeg(data, image) if image.format == "JPEG" and _PILLOW_HAS_TURBO else None
    if quick is None:
        return rgb_array(image, pixels)
    if pixels.orientation == "stored" or turn_of(image) is None:
        return quick
    return np.array(upright(Image.fromarray(quick), image, pixels))


def _decode_jpeg(data: bytes, image: Image.Image) -> UInt8Image | None:
    """Pixels of a JPEG that simplejpeg decodes without a complaint, or None."""
    try:
        colorspace = simplejpeg.decode_jpeg_header(data)[2]
        if colorspace not in ("Gray", "YCbCr"):
            return None
        pixels = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return None
    return pixels if pixels.shape == (image.height, image.width, 3) else None

"""Image files to pixels: exactly those of Pillow's ``Image.open(file).convert("RGB")``, sooner where it is a JPEG."""

import io

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError, features

from jaxnext.data.bad_image import CorruptImage
from jaxnext.errors import one_line
from jaxnext.types import UInt8Image

RESIZE = "bilinear, antialiased, to a square"
"""How ``resize`` resizes."""
PIXELS_VERSION = 1
"""To be raised whenever ``decode`` or ``resize`` gives other pixels for a file: decoded caches are then filled anew."""

# Both libraries then run the same arithmetic; another JPEG library behind Pillow may round otherwise.
_PILLOW_HAS_TURBO = features.check_feature("libjpeg_turbo") is True


def decode(data: bytes) -> UInt8Image:
    """Decodes one image file as Pillow does; the EXIF orientation is ignored, of an animation the first frame is taken.

    Pillow reads the header of every file. The pixels of grey and YCbCr JPEGs then come from simplejpeg, which gives the
    same ones in less time. Where it has anything to complain about, Pillow decides.

    Args:
        data: the bytes of the file.

    Returns:
        uint8 ``[height, width, 3]``, RGB.

    Raises:
        CorruptImage: not an image, truncated, or with more pixels than Pillow's ``Image.MAX_IMAGE_PIXELS``, from which
            on Pillow warns of a decompression bomb.
    """
    if not data:
        raise CorruptImage("the file is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "EPS":
                # Pillow would have Ghostscript run it.
                raise CorruptImage("PostScript is a program, not an image")
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                # Warning filters belong to the whole process, so that a thread cannot turn the warning into an error.
                raise CorruptImage(f"{image.width}x{image.height} pixels are more than the limit of {limit}")
            pixels = _decode_jpeg(data, image) if image.format == "JPEG" and _PILLOW_HAS_TURBO else None
            return to_rgb(image) if pixels is None else pixels
    except (CorruptImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise CorruptImage("not an image that Pillow can read") from error
    except Exception as error:  # Pillow's decoders meet broken bytes with many types of exception.
        raise CorruptImage(one_line(error)) from error


def to_rgb(image: Image.Image) -> UInt8Image:
    """Return the pixels of an image of any of Pillow's modes, uint8 ``[height, width, 3]``."""
    return np.array(image.convert("RGB"))


def resize(image: UInt8Image, size: int) -> UInt8Image:
    """Resizes to a square with Pillow's antialiased bilinear filter, as torchvision's ``Resize((size, size))``.

    Args:
        image: uint8 ``[height, width, 3]``.
        size: pixels on each side of the result.

    Returns:
        uint8 ``[size, size, 3]``.
    """
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


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

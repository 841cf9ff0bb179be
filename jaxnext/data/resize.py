"""Images to the size that the network takes: exactly torchvision's pixels on images of Pillow."""

import numpy as np
from PIL import Image

from jaxnext.data.bad_image import CorruptImage
from jaxnext.data.pixels import Pixels
from jaxnext.types import UInt8Image


def resize(image: UInt8Image, pixels: Pixels) -> UInt8Image:
    """Resize with Pillow's antialiased bilinear filter.

    stretch   ``Resize((height, width))``
    crop      ``Resize(int(size / crop_share))`` of the shorter side, then ``CenterCrop(size)``; for two sizes the least
              image of the same shape that covers both
    pad       ``Resize(None, max_size=size)`` of the longer side, then black on both sides of the shorter one

    Args:
        image: uint8 ``[height, width, 3]``, of any size.
        pixels: say the size and which of the three.

    Returns:
        uint8 ``[*pixels.size, 3]``.

    Raises:
        CorruptImage: an image so narrow that its longer side would have more pixels than may be decoded.
    """
    height, width = pixels.size
    if pixels.resize == "stretch":
        return _resized(image, height, width)
    if pixels.resize == "pad":
        inner = _resized(image, *fitted(image.shape[0], image.shape[1], height, width, cover=False))
        top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
        result = np.zeros(pixels.shape, np.uint8)
        result[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return result
    least = int(height / pixels.crop_share), int(width / pixels.crop_share)
    tall, wide = fitted(image.shape[0], image.shape[1], *least, cover=True)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and tall * wide > limit:
        raise CorruptImage(
            f"{image.shape[1]}x{image.shape[0]} pixels would become {wide}x{tall} before data.resize crop cuts them, "
            f"more than the limit of {limit}; pad and stretch take them"
        )
    # Halves to the even number, as torchvision's round.
    top, left = round((tall - height) / 2), round((wide - width) / 2)
    return _resized(image, tall, wide)[top : top + height, left : left + width]


def fitted(height: int, width: int, to_height: int, to_width: int, *, cover: bool) -> tuple[int, int]:
    """Return height and width of the same shape that just cover another size, or just fit into it."""
    by_height = (to_height * width >= to_width * height) == cover
    if by_height:
        return to_height, max(int(to_height * width / height), 1)
    return max(int(to_width * height / width), 1), to_width


def _resized(image: UInt8Image, height: int, width: int) -> UInt8Image:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

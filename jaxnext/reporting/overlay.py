"""A map drawn over its image: warm colours where it is high, the image itself where it is low."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxnext.types import UInt8Image

_COLOURS = np.array(
    [
        (48, 18, 59),
        (70, 107, 227),
        (40, 188, 235),
        (50, 242, 152),
        (164, 252, 60),
        (238, 207, 58),
        (251, 126, 33),
        (209, 49, 5),
        (122, 4, 3),
    ],
    np.float64,
)
"""Of nine equally distant values from 0 to 1: those of Turbo (A. Mikhailov, 2019)."""
_LEAST, _MOST = 0.1, 0.6
"""How much of the colour stands over the image where the map is 0, and where it is 1."""


def overlay(image: UInt8Image, values: NDArray[np.floating], least_side: int = 0) -> UInt8Image:
    """Return an image with a map over it.

    Args:
        image: uint8 ``[height, width, 3]``, RGB.
        values: ``[height, width]``, 0 to 1.
        least_side: a smaller image is enlarged so that its longer side has so many pixels.

    Returns:
        uint8 of the image's shape, or enlarged.
    """
    height, width = image.shape[:2]
    scale = max(1.0, least_side / max(height, width))
    size = round(width * scale), round(height * scale)
    if scale > 1:
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
        single = Image.fromarray(values.astype(np.float32))
        values = np.asarray(single.resize(size, Image.Resampling.BILINEAR))
    heights = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(values, heights, channel) for channel in _COLOURS.T], -1)
    share = (_LEAST + (_MOST - _LEAST) * values)[..., None]
    return np.round(image * (1 - share) + colours * share).astype(np.uint8)


def stretched(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return a map with its least value at 0 and its largest at 1, so that small differences show; 0 without any.

    Args:
        values: ``[height, width]``.
    """
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.zeros_like(values)

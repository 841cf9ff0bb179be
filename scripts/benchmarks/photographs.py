"""JPEGs to read: like photographs in size, in how they compress, and in that no two are alike."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDES = (350, 800)
"""Smallest and largest width and height in pixels."""
QUALITY = 90
CLASSES = 4

_CANVAS = 1600
# Pixels from one random value to the next, and how far these are apart: light and shade, shapes, texture.
_BRIGHTNESS = ((160, 55.0), (40, 22.0), (10, 9.0), (3, 7.0))
_COLOUR = ((160, 25.0), (40, 10.0), (10, 4.0))
_GRAIN = 4.0


def write_photographs(folder: Path, count: int, seed: int = 0) -> int:
    """Write class folders of JPEGs, random windows of one large picture: smooth gradients under texture and noise.

    Args:
        folder: receives the class folders.
        count: of images.
        seed: of sizes and contents.

    Returns:
        Bytes of all files.
    """
    random = np.random.default_rng(seed)
    canvas = _canvas(random)
    total = 0
    for number in range(count):
        width, height = (int(side) for side in random.integers(SIDES[0], SIDES[1] + 1, 2))
        left, top = (int(random.integers(0, _CANVAS - side + 1)) for side in (width, height))
        window = canvas[top : top + height, left : left + width]
        file = folder / f"class{number % CLASSES}" / f"{number:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(window).save(file, "JPEG", quality=QUALITY)
        total += file.stat().st_size
    return total


def _canvas(random: np.random.Generator) -> NDArray[np.uint8]:
    brightness = _GRAIN * _noise(random, _CANVAS) + 128
    for layer in _BRIGHTNESS:
        brightness += _field(random, *layer)
    channels = np.stack([brightness] * 3, axis=-1)
    for channel in range(3):
        for layer in _COLOUR:
            channels[..., channel] += _field(random, *layer)
    return np.clip(channels, 0, 255).astype(np.uint8)


def _field(random: np.random.Generator, cell: int, deviation: float) -> NDArray[np.float32]:
    coarse = Image.fromarray(deviation * _noise(random, _CANVAS // cell + 2))
    return np.asarray(coarse.resize((_CANVAS, _CANVAS), Image.Resampling.BICUBIC))


def _noise(random: np.random.Generator, size: int) -> NDArray[np.float32]:
    return random.standard_normal((size, size), np.float32)

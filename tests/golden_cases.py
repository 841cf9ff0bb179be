"""What the golden files hold: the cases that are recorded from PyTorch and compared here."""

import itertools

import named_values
import numpy as np
from torch_reference import NETS, SETTINGS

__all__ = ["NETS", "SETTINGS"]

ODD_SIZE = 36
"""Images of the one batch: height and width in the tiny net are 18, 9, 9, 5, 3, 2, so that both even and odd ones meet
every stride."""
KINK_FREE = 14
"""Seed of the images of the one batch, chosen so that no value lies where float32 may put it on a kink's other side."""
FLOAT32_DRAWS = (("one batch", KINK_FREE), ("single 8", 0), ("single 45", 0))
"""Names and seeds of the images and labels on which the gradients in float32 are compared, chosen likewise."""
BATCHES = [f"step {step}" for step in range(20)]
"""Names of the images and labels of the 20 steps: new ones each, so that the loss does not fall and the rate does."""

ANGLES = (0.0, 45.0, -45.0, 30.5, -7.25, 13.6875, 90.0, 180.0)
ORDERS = tuple(itertools.permutations(range(3)))
FACTORS = ((0.8, 1.2, 0.9), (1.2, 0.8, 1.1), (1.15, 0.85, 1.2), (0.9, 0.95, 0.8), (1.05, 1.1, 1.0), (1.0, 1.2, 1.2))
"""Brightness, contrast and saturation, for each of ``ORDERS``."""
PICTURE_SIZES = (24, 31)
RESIZED = (9, 33)
SOURCE_SIZES = {
    "RGB": (37, 21),
    "L": (1, 29),
    "LA": (17, 23),
    "P": (25, 25),
    "RGBA": (23, 17),
    "CMYK": (13, 41),
    "1": (19, 33),
    "I;16": (27, 15),
}
"""Height and width for each colour mode."""


def picture(name: str, height: int, width: int) -> np.ndarray:
    """uint8 ``[height, width, 3]``: noise on a ramp, from the name."""
    y, x = np.ogrid[:height, :width]
    ramp = (x * 220 // width)[..., None] * np.array([4, 2, 1]) // 4 + (y * 40 // height)[..., None]
    noise = (60 * named_values.uniform(name, (height, width, 3))).astype(np.int64) - 30
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)


def excerpt(activations: np.ndarray) -> np.ndarray:
    """Of ``[N, H, W, C]`` or ``[N, C]`` two images and the first and last channel."""
    return activations[:2, ..., [0, -1]]


def statistics_excerpt(array: np.ndarray) -> np.ndarray:
    """The first and the last four values of a vector."""
    return np.concatenate([array[:4], array[-4:]])

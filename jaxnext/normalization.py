"""Bytes of images to the numbers that a network is given."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of the ImageNet training images for red, green and blue, in a range of 0 to 1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of the ImageNet training images for red, green and blue, in a range of 0 to 1."""


def normalize(
    images: jax.Array,
    dtype: DTypeLike,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> jax.Array:
    """Scale bytes to 0 to 1 and normalise with a mean and a deviation, as torchvision's ToTensor and Normalize.

    float64 is computed in float64, every other type in float32 and then rounded to it; both are PyTorch's to the bit.

    Args:
        images: uint8 ``[B, H, W, 3]``, RGB.
        dtype: Floating-point type of the result.
        mean: For red, green and blue.
        std: For red, green and blue, above 0.

    Returns:
        ``[B, H, W, 3]`` of ``dtype``.
    """
    compute = np.dtype(np.float64) if jnp.dtype(dtype) == np.float64 else np.dtype(np.float32)
    centre = np.array(mean, compute).reshape(1, 1, 1, 3)
    # XLA makes a division by a constant a product with its reciprocal, which is off by a unit for many bytes, and
    # subtracting the mean magnifies that. 1/255 is 1/256 + 1/65280, and as the first product is exact, the sum is the
    # rounded quotient.
    value = images.astype(compute)
    centred = value * np.array(1 / 256, compute) + value * np.array(1 / 65280, compute) - centre
    # The same for the deviation: of halves of the digits the product is exact, and what it lacks is added last. A test
    # goes through all bytes.
    high, low = _reciprocals(std, compute)
    word, digits = (np.uint64, 27) if compute == np.float64 else (np.uint32, 12)
    upper = lax.bitcast_convert_type(
        lax.bitcast_convert_type(centred, word) >> word(digits) << word(digits), centred.dtype
    )
    return (upper * high + ((centred - upper) * high + centred * low)).astype(dtype)


def denormalize(
    images: np.ndarray, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
) -> np.ndarray:
    """Return the bytes that normalised images are nearest to, on the host; in float32 those that were normalised.

    Args:
        images: ``[B, H, W, 3]`` of any floating-point type.
        mean: that they were normalised with.
        std: likewise.

    Returns:
        uint8 ``[B, H, W, 3]``.
    """
    wide = images.astype(np.float32) * np.array(std, np.float32) + np.array(mean, np.float32)
    return np.rint(np.clip(wide, 0, 1) * 255).astype(np.uint8)


def _reciprocals(values: tuple[float, ...], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 over each value as PyTorch rounds it to ``dtype``: the first half of the digits, the rest rounded."""
    bits = 26 if dtype == np.float64 else 12
    high, low = [], []
    for value in np.array(values, dtype).tolist():
        mantissa, exponent = math.frexp(1 / value)
        high.append(math.ldexp(math.floor(math.ldexp(mantissa, bits)), exponent - bits))
        low.append(float(1 / Fraction(value) - Fraction(high[-1])))
    return np.array(high, dtype).reshape(1, 1, 1, -1), np.array(low, dtype).reshape(1, 1, 1, -1)

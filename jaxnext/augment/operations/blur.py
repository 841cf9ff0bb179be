"""Gaussian blur in integers: exact sums of fixed-point weights, on every device the same."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

_BITS = 28
"""After the point of a weight. Halves of 14 bits keep all products and sums within 32 bits."""

LARGEST_KERNEL = 51


def kernel(sigma: float, size: int) -> list[int]:
    """Return the weights of a Gaussian at whole pixels around 0, which add up to 2**28."""
    radius = size // 2
    weights = [math.exp(-((place / sigma) ** 2) / 2) for place in range(-radius, radius + 1)]
    total = math.fsum(weights)
    fixed = [round(weight / total * 2**_BITS) for weight in weights]
    fixed[radius] += 2**_BITS - sum(fixed)
    return fixed


def blur(image: jax.Array, weights: jax.Array) -> jax.Array:
    """Convolve with the same weights along rows and columns, the image mirrored at its border pixels.

    Args:
        image: uint8 ``[H, W, C]``.
        weights: int32 ``[size]`` of ``kernel``; half of them, rounded down, fewer than the shorter side has pixels.

    Returns:
        uint8 ``[H, W, C]``, rounded to nearest; what the intermediate result lacks is below 1/65536 of a level.
    """
    height, width, _ = image.shape
    size = weights.shape[0]
    radius = size // 2
    padded = jnp.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="reflect").astype(jnp.uint32)
    high, low = (half.astype(jnp.uint32) for half in (weights >> 14, weights & 0x3FFF))

    taps = [padded[:, place : place + width] for place in range(size)]
    upper, lower = _sum(taps, high), _sum(taps, low)
    # 16 bits after the point, and as the sum of 14 bits and 14 bits rounded down but once.
    between = (upper << 2) + ((lower + 0x800) >> 12)

    taps = [between[place : place + height] for place in range(size)]
    coarse, fine = [tap >> 12 for tap in taps], [tap & 0xFFF for tap in taps]
    carried = _sum(coarse, low) + (_sum(fine, high) << 2) + (_sum(fine, low) >> 12)
    total = _sum(coarse, high) + (carried >> 14)
    return ((total + (1 << 17)) >> 18).astype(jnp.uint8)


def _sum(taps: list[jax.Array], weights: jax.Array) -> jax.Array:
    total = jnp.zeros(taps[0].shape, jnp.uint32)
    for place, tap in enumerate(taps):
        total = total + tap * weights[place]
    return total


def blur_all(images: jax.Array, chosen: jax.Array, weights: jax.Array) -> jax.Array:
    """Blur the images of a batch that were chosen; on the CPU one after another, elsewhere all at once.

    Args:
        images: uint8 ``[B, H, W, C]``.
        chosen: bool ``[B]``.
        weights: int32 ``[B, size]``.
    """

    def sequentially(images: jax.Array, chosen: jax.Array, weights: jax.Array) -> jax.Array:
        return lax.map(
            lambda row: lax.cond(row[1], lambda: blur(row[0], row[2]), lambda: row[0]), (images, chosen, weights)
        )

    def at_once(images: jax.Array, chosen: jax.Array, weights: jax.Array) -> jax.Array:
        return jnp.where(chosen[:, None, None, None], jax.vmap(blur)(images, weights), images)

    return lax.platform_dependent(images, chosen, weights, cpu=sequentially, default=at_once)


def kernels(sigmas: list[float], size: int) -> NDArray[np.int32]:
    """Return the weights of each deviation: int32 ``[B, size]``."""
    return np.array([kernel(sigma, size) for sigma in sigmas], np.int32).reshape(len(sigmas), size)

"""Pillow's antialiased bilinear resize of a part of an image: weights made on the host, sums on the device."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

_PRECISION = 22
"""Bits after the point in Pillow's weights for bytes."""


def taps(whole: int, size: int) -> int:
    """Return how many pixels at most count for one of ``size`` pixels that a part of ``whole`` is resized to."""
    return math.ceil(2 * max(1.0, whole / size))


def weights(
    start: NDArray[np.int64], length: NDArray[np.int64], whole: int, size: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return along one axis which pixels count for each pixel of the result, and how much.

    Args:
        start: First pixel of the part of each image, ``[B]``.
        length: Pixels in it, ``[B]``.
        whole: Pixels in the image.
        size: Pixels in the result.

    Returns:
        The first pixel that counts, int32 ``[B, size]``, and the weights of it and the following ones, int32
        ``[B, size, taps]`` with 22 bits after the point. Pixels beyond the part or the image have the weight 0.
    """
    count = taps(whole, size)
    scale = (length / size)[:, None]
    support = np.maximum(scale, 1.0)
    centre = (np.arange(size) + 0.5) * scale
    # Conversion to an integer drops the fraction, as in C.
    low = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    high = np.minimum((centre + support + 0.5).astype(np.int64), length[:, None])
    # One more than can count: rounding may let in a pixel at the border of the triangle, whose weight is 0.
    place = low[..., None] + np.arange(count + 1)
    distance = np.abs((place - centre[..., None] + 0.5) * (1.0 / support)[..., None])
    weight = np.where((place < high[..., None]) & (distance < 1.0), 1.0 - distance, 0.0)
    total = np.zeros(low.shape)
    for tap in range(count + 1):  # in Pillow's order
        total += weight[..., tap]
    fixed = (weight / total[..., None] * (1 << _PRECISION) + 0.5).astype(np.int32)
    skip = fixed[..., 0] == 0
    fixed = np.where(skip[..., None], fixed[..., 1:], fixed[..., :-1])
    first = np.minimum(low + skip, length[:, None] - 1) + start[:, None]
    return first.astype(np.int32), fixed


def down_the_columns_first(
    height: NDArray[np.int64], width: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return whether Pillow 13 goes down the columns before it goes along the rows, rounding to bytes in between.

    Pillow 12 never does.

    Args:
        height: Of the part of each image, ``[B]``.
        width: Likewise.
        size: Height and width of the result.
    """
    return (height > size[0]) & (height - size[0] > 2 * (width - size[1]))


def resample(
    packed: jax.Array,
    columns: tuple[jax.Array, jax.Array],
    rows: tuple[jax.Array, jax.Array],
    down_first: jax.Array | None = None,
) -> jax.Array:
    """Resize along the rows and down the columns, rounded to bytes in between.

    Args:
        packed: ``[H, W]``.
        columns: What ``weights`` gave along the width, of one image: ``[width]`` and ``[width, taps]``.
        rows: The same along the height.
        down_first: Of ``down_the_columns_first``; ``None``: along the rows first.

    Returns:
        ``[height, width]``.
    """
    if down_first is None:
        return _along(_along(packed, *columns, axis=1), *rows, axis=0)
    return lax.cond(
        down_first,
        lambda packed: _along(_along(packed, *rows, axis=0), *columns, axis=1),
        lambda packed: _along(_along(packed, *columns, axis=1), *rows, axis=0),
        packed,
    )


def _along(packed: jax.Array, first: jax.Array, weight: jax.Array, axis: int) -> jax.Array:
    last = packed.shape[axis] - 1
    sums = [jnp.int32(1 << (_PRECISION - 1))] * 3
    for tap in range(weight.shape[1]):
        index = jnp.minimum(first + tap, last)
        pixels = packed.at[(slice(None), index) if axis else index].get(mode="promise_in_bounds")
        factor = weight[:, tap] if axis else weight[:, tap, None]
        shape = (1, -1) if axis else (-1, 1)
        signed = pixels.astype(jnp.int32)
        parts = (signed & 255, (signed >> 8) & 255, signed >> 16)
        sums = [total + part * factor.reshape(shape) for total, part in zip(sums, parts, strict=True)]
    red, green, blue = (total >> _PRECISION for total in sums)
    return (red | (green << 8) | (blue << 16)).astype(jnp.uint32)

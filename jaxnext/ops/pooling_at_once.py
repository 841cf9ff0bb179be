"""The two halves of a 3x3 max-pool with stride 2 and padding 1, each one kernel on a GPU: nothing is stacked between.

Nothing here has a gradient of its own: what uses them does (``models.norm_pool``).
"""

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax

from .pooling import first_of


def first_maximum(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the maximum of each window, and which of its nine places, in row-major order, held it first.

    Args:
        x: ``[N, H, W, C]``, any float dtype. NaN propagates.

    Returns:
        ``[N, ceil(H / 2), ceil(W / 2), C]`` twice, in the dtype of ``x`` and in uint8.
    """
    counts = [(size + 1) // 2 for size in x.shape[1:3]]
    edges = [(1, 2 * count - size, 0) for count, size in zip(counts, x.shape[1:3], strict=True)]
    padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    rows, columns = (2 * count - 1 for count in counts)
    values = [
        padded[:, row : row + rows : 2, column : column + columns : 2]
        for row, column in itertools.product(range(3), repeat=2)
    ]
    return first_of(values)


def to_places(values: jax.Array, place: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Add each window's value to the place that held its maximum: the pool's gradient.

    Args:
        values: ``[N, ceil(H / 2), ceil(W / 2), C]``.
        place: from ``first_maximum``.
        size: ``H`` and ``W``.

    Returns:
        ``[N, H, W, C]``, same dtype.
    """
    shape = (values.shape[0], *size, values.shape[3])
    odd = [lax.broadcasted_iota(jnp.uint8, shape, axis) % 2 == 1 for axis in (1, 2)]
    total = jnp.zeros(shape, values.dtype)
    # Window j covers 2j - 1, 2j, 2j + 1: what is at h has place 1 or 2 in window h // 2, at odd h also 0 in the next.
    for later in itertools.product((False, True), repeat=2):
        row, column = (jnp.where(is_odd, 0 if next_ else 2, 1) for is_odd, next_ in zip(odd, later, strict=True))
        spread = functools.partial(_spread, later=later, size=size)
        here = spread(place) == (3 * row + column).astype(place.dtype)
        for is_odd, next_ in zip(odd, later, strict=True):
            here &= is_odd if next_ else True
        total = total + jnp.where(here, spread(values), 0)
    return total


def _spread(windows: jax.Array, later: tuple[bool, ...], size: tuple[int, int]) -> jax.Array:
    """Give each value what its window has, or along an axis the window after it; zero where there is none."""
    edges = [(-int(next_), int(next_), 0) for next_ in later]
    windows = lax.pad(windows, jnp.zeros((), windows.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    n, height, width, channels = windows.shape
    wide = jnp.broadcast_to(windows[:, :, None, :, None], (n, height, 2, width, 2, channels))
    return wide.reshape(n, 2 * height, 2 * width, channels)[:, : size[0], : size[1]]

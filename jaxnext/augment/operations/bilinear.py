"""Pixels interpolated between four by an affine map, as Pillow's ``Image.transform`` does with ``BILINEAR``.

Pillow computes in double precision and drops the fraction, so that a place a last bit below a pixel gives another byte
than the pixel: along the diagonal of an image that is turned by 45 degrees every byte hangs on such a bit. Hence all is
computed in Pillow's order and in double precision too, in a program that otherwise has none; CPUs and GPUs have it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxnext.augment.operations.affine import Matrix
from jaxnext.augment.operations.packed import channels, join

WORDS = 7
"""Of ``bits``: six coefficients and a zero."""


def bits(matrix: Matrix) -> NDArray[np.int32]:
    """Return the doubles of a matrix, and a zero, as pairs of integers, ``[7, 2]``: as doubles JAX would round them."""
    return np.array([*matrix, 0.0], "<f8").view("<i4").astype(np.int32).reshape(WORDS, 2)


def transform(packed: jax.Array, affine: jax.Array, fill: int = 0) -> jax.Array:
    """Interpolate between ``[H, W]`` pixels by what ``bits`` gave; the packed ``fill`` where a place is outside.

    A pixel at the border that has no neighbour on a side is its own.
    """
    height, width = packed.shape
    with jax.enable_x64(True):
        words = lax.bitcast_convert_type(affine, jnp.int64)
        a, b, c, d, e, f, _ = lax.bitcast_convert_type(words, jnp.float64)

        def rounded(product: jax.Array) -> jax.Array:
            # Pillow rounds a product before it adds. A compiler may fuse the two into one multiply-add that does not,
            # unless an addition of integers stands between, which it cannot know to be of zero.
            return lax.bitcast_convert_type(lax.bitcast_convert_type(product, jnp.int64) + words[-1], jnp.float64)

        x = lax.broadcasted_iota(jnp.float64, (1, width), 1) + 0.5
        y = lax.broadcasted_iota(jnp.float64, (height, 1), 0) + 0.5
        places = [rounded(p * x) + rounded(q * y) + r for p, q, r in ((a, b, c), (d, e, f))]
        inside, before, share = jnp.bool_(True), [], []
        for place, size in zip(places, (width, height), strict=True):
            inside &= (place >= 0) & (place < size)
            floor = jnp.floor(place - 0.5)
            share.append(place - 0.5 - floor)
            before.append(jnp.clip(floor, -1, size - 1).astype(jnp.int32))
        columns, rows = (
            [jnp.clip(first + step, 0, size - 1) for step in (0, 1)]
            for first, size in zip(before, (width, height), strict=True)
        )

        def between(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
            return first + rounded((second - first) * share)

        def at(row: jax.Array, column: jax.Array) -> list[jax.Array]:
            pixels = packed.reshape(-1).at[row * width + column].get(mode="promise_in_bounds")
            return [channel.astype(jnp.float64) for channel in channels(pixels)]

        upper, lower = (
            [
                between(left, right, share[0])
                for left, right in zip(*(at(row, column) for column in columns), strict=True)
            ]
            for row in rows
        )
        found = [between(*pair, share[1]).astype(jnp.int32) for pair in zip(upper, lower, strict=True)]
        return jnp.where(inside, join(*found), jnp.uint32(fill))

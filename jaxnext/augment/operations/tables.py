"""Operations that map each byte by a table: of the drawn level, or of the image's own histogram."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from jaxnext.augment.operations.packed import channels, join


def invert_and_mask(packed: jax.Array, threshold: jax.Array, mask: jax.Array) -> jax.Array:
    """Invert the bytes from a threshold on, then drop bits: Pillow's ``solarize``, ``invert`` and ``posterize``.

    Args:
        packed: ``[H, W]``.
        threshold: First byte that is inverted; 256 for none, 0 for all.
        mask: Bits that are kept; 255 for all.
    """

    def one(channel: jax.Array) -> jax.Array:
        return jnp.where(channel >= threshold, 255 - channel, channel) & mask

    return join(*(one(channel) for channel in channels(packed)))


def autocontrast(packed: jax.Array) -> jax.Array:
    """Spread the bytes of each channel of ``[H, W]`` over 0 to 255, as ``ImageOps.autocontrast``."""
    return join(*(look_up(_spread(jnp.min(channel), jnp.max(channel)), channel) for channel in channels(packed)))


def _spread(low: jax.Array, high: jax.Array) -> jax.Array:
    """Return the table ``[256]`` that maps ``low`` to 0 and ``high`` to 255, with Pillow's roundings."""
    flaws, begin, steps = (jnp.asarray(array) for array in _flaws())
    level = jnp.arange(256, dtype=jnp.int32)
    span = jnp.maximum(high - low, 1)
    product = 255 * jnp.clip(level - low, 0, span)
    quotient = lax.div(product, jnp.broadcast_to(span, level.shape))
    place = begin[span] + low * (steps[span] + 1) + lax.div(quotient * steps[span], jnp.int32(255))
    flawed = (quotient * span == product) & flaws[jnp.where(quotient * span == product, place, 0)]
    return jnp.where(high > low, quotient - flawed.astype(jnp.int32), level)


@functools.cache
def _flaws() -> tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int32]]:
    """Return where Pillow's autocontrast, in doubles, falls below a whole number that is the exact result.

    With ``span`` between lowest and highest byte, the exact result is whole ``gcd(span, 255) + 1`` times.

    Returns:
        For each span, lowest byte and whole result in turn, whether Pillow's is one less; where each span begins; and
        ``gcd(span, 255)``.
    """
    steps = np.gcd(np.arange(256), 255).astype(np.int32)
    begin, flaws = np.zeros(256, np.int32), [np.zeros(0, bool)]
    for span in range(1, 256):
        begin[span] = sum(map(len, flaws))
        low, whole = np.arange(256 - span)[:, None], np.arange(steps[span] + 1)
        scale = 255.0 / span
        # As Pillow computes it: the product rounded, the sum rounded.
        found = (low + whole * (span // steps[span])) * scale + -low * scale
        flaws.append((found < whole * (255 // steps[span])).reshape(-1))
    return np.concatenate(flaws), begin, steps


def equalize(packed: jax.Array) -> jax.Array:
    """Spread the bytes of each channel of ``[H, W]`` evenly, as ``ImageOps.equalize``."""
    return join(*(look_up(_even(histogram(channel)), channel) for channel in channels(packed)))


def _even(counts: jax.Array) -> jax.Array:
    level = jnp.arange(256, dtype=jnp.int32)
    last = counts[jnp.max(jnp.where(counts > 0, level, 0))]
    total = jnp.sum(counts, dtype=jnp.int32)
    step = lax.div(total - last, jnp.int32(255))
    before = jnp.cumsum(counts, dtype=jnp.int32) - counts
    divisor = jnp.broadcast_to(jnp.maximum(step, 1), level.shape)
    even = jnp.minimum(lax.div(lax.div(divisor, jnp.int32(2)) + before, divisor), 255)
    return jnp.where(step > 0, even, level)


def histogram(channel: jax.Array) -> jax.Array:
    """Count the bytes, int32 of 0 to 255: int32 ``[256]``."""
    return lax.platform_dependent(channel.reshape(-1), cpu=_scattered, default=_of_digits)


def _scattered(values: jax.Array) -> jax.Array:
    return jnp.zeros(256, jnp.int32).at[values].add(1, mode="promise_in_bounds")


def _of_digits(values: jax.Array) -> jax.Array:
    """Count pairs of hexadecimal digits by a product of two matrices of zeros and ones, without scattering."""
    digits = jnp.arange(16, dtype=jnp.int32)
    high, low = ((part[:, None] == digits[None, :]).astype(jnp.bfloat16) for part in (values >> 4, values & 15))
    # Sums in float32 are exact up to 2**24, as many as the largest image has pixels.
    counts = lax.dot_general(high, low, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)
    return counts.reshape(256).astype(jnp.int32)


def look_up(table: jax.Array, channel: jax.Array) -> jax.Array:
    """Map each byte, int32 of 0 to 255, by a table ``[256]``."""
    return table.at[channel].get(mode="promise_in_bounds")

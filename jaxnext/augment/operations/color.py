"""Grey, means and blends: ``Image.convert("L")`` and what Pillow's ``ImageEnhance`` is made of."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnext.augment.operations.packed import channels, join


def grey(red: jax.Array, green: jax.Array, blue: jax.Array) -> jax.Array:
    """Convert to Pillow's mode L: ITU-R 601-2 luma in 16-bit fixed point, rounded to nearest."""
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


def mean(grey: jax.Array) -> jax.Array:
    """Return the mean of each image ``[..., H, W]``, halves rounded up as by ImageEnhance.Contrast: ``[..., 1, 1]``."""
    count = np.uint32(grey.shape[-2] * grey.shape[-1])
    total = jnp.sum(grey.astype(jnp.uint32), axis=(-2, -1), keepdims=True, dtype=jnp.uint32)
    quotient = total // count
    round_up = 2 * (total - quotient * count) >= count
    return (quotient + round_up.astype(jnp.uint32)).astype(jnp.int32)


def blend(start: jax.Array, end: jax.Array, factor: jax.Array) -> jax.Array:
    """Blend as Pillow does: ``start + factor * (end - start)`` in float32, cut to 0 to 255, fraction dropped.

    Pillow rounds the product before it adds. A compiler may fuse the two into one multiply-add that does not, which
    changes a byte here and there. So the factor is split into two halves of 12 bits: their products with a difference
    of bytes are exact, hence the sum of the products is the rounded product, whether fused or not.
    """
    bits = lax.bitcast_convert_type(jnp.asarray(factor, jnp.float32), jnp.uint32)
    high = lax.bitcast_convert_type(bits & np.uint32(0xFFFFF000), jnp.float32)
    low = factor - high
    difference = (end - start).astype(jnp.float32)
    blended = (high * difference + low * difference) + start.astype(jnp.float32)
    return jnp.clip(blended, 0.0, 255.0).astype(jnp.int32)


def brightness(packed: jax.Array, factor: jax.Array) -> jax.Array:
    """Change the brightness of an image ``[H, W]``, as ``ImageEnhance.Brightness``."""
    return join(*(blend(jnp.zeros_like(channel), channel, factor) for channel in channels(packed)))


def contrast(packed: jax.Array, factor: jax.Array) -> jax.Array:
    """Change the contrast of an image ``[H, W]``, as ``ImageEnhance.Contrast``."""
    separate = channels(packed)
    middle = mean(grey(*separate))
    return join(*(blend(middle, channel, factor) for channel in separate))


def saturation(packed: jax.Array, factor: jax.Array) -> jax.Array:
    """Change the saturation of an image ``[H, W]``, as ``ImageEnhance.Color``."""
    separate = channels(packed)
    luma = grey(*separate)
    return join(*(blend(luma, channel, factor) for channel in separate))


def sharpness(packed: jax.Array, factor: jax.Array) -> jax.Array:
    """Change the sharpness of an image ``[H, W]``, as ``ImageEnhance.Sharpness``."""
    return join(*(blend(smooth(channel), channel, factor) for channel in channels(packed)))


def smooth(channel: jax.Array) -> jax.Array:
    """Filter ``[..., H, W]`` as ``ImageFilter.SMOOTH``: the middle counts 5, its neighbours 1; the border stays.

    Pillow adds thirteenths in float32 and rounds; as a thirteenth is never near a half, this is the rounded quotient.
    """
    if min(channel.shape[-2:]) < 3:
        return channel
    rows = channel[..., :-2, :] + channel[..., 1:-1, :] + channel[..., 2:, :]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * channel[..., 1:-1, 1:-1]
    # 26 * 2**20 / 26 rounded up; exact for sums up to 13 * 255.
    inner = ((2 * total + 13) * 40330) >> 20
    return channel.at[..., 1:-1, 1:-1].set(inner)


def grayscale(packed: jax.Array) -> jax.Array:
    """Show each pixel's grey in all three channels."""
    luma = grey(*channels(packed))
    return join(luma, luma, luma)

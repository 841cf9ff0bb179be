"""Hue: from RGB to HSV and back as Pillow converts, in integers.

Pillow computes in single and double precision. Its results are the rounded-down quotients below, one less in 64 hues
where the quotient is exact; a test goes through all differences of bytes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnext.augment.operations.packed import channels, join

_FLAWED = (
    *range(1, 32),
    *range(88, 105, 4),
    *range(129, 150, 2),
    *range(153, 178, 4),
    176,
    *range(181, 210, 4),
    184,
)
"""Hues that, where they are exact, come out as one less."""


def shift_hue(packed: jax.Array, shift: jax.Array) -> jax.Array:
    """Turn the hue, as torchvision's ``adjust_hue`` does by adding to the byte of Pillow's HSV.

    Args:
        packed: ``[..., H, W]``.
        shift: What is added to the hue, 0 to 255, of a full turn of 256; even 0 rounds colours to those of HSV.

    Returns:
        ``[..., H, W]``.
    """
    hue, saturation, value = _hsv(packed)
    return _rgb((hue + shift) & 255, saturation, value)


def _hsv(packed: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    red, green, blue = channels(packed)
    value = jnp.maximum(red, jnp.maximum(green, blue))
    spread = value - jnp.minimum(red, jnp.minimum(green, blue))
    sixths = jnp.where(
        red == value,
        green - blue,
        jnp.where(green == value, 2 * spread + blue - red, 4 * spread + red - green),
    )
    product = 255 * jnp.where(sixths < 0, sixths + 6 * spread, sixths)
    divisor = jnp.maximum(6 * spread, 1)
    quotient = lax.div(product, divisor)
    flawed = np.isin(np.arange(256), _FLAWED)
    less = jnp.asarray(flawed).at[quotient].get(mode="promise_in_bounds") & (quotient * divisor == product)
    return quotient - less.astype(jnp.int32), lax.div(255 * spread, jnp.maximum(value, 1)), value


def _rgb(hue: jax.Array, saturation: jax.Array, value: jax.Array) -> jax.Array:
    sector = lax.div(6 * hue, jnp.int32(255))
    place = 6 * hue - 255 * sector
    sector = jnp.where(sector == 6, 0, sector)

    def part(share: jax.Array) -> jax.Array:
        """Round ``value * (1 - saturation * share)``, saturation and share of 255; never a half."""
        return lax.div(2 * value * (65025 - saturation * share) + 65025, jnp.int32(130050))

    least, falling, rising = part(jnp.full_like(place, 255)), part(place), part(255 - place)
    red = _pick(sector, (value, falling, least, least, rising, value))
    green = _pick(sector, (rising, value, value, falling, least, least))
    blue = _pick(sector, (least, least, rising, value, value, falling))
    return join(red, green, blue)


def _pick(sector: jax.Array, ways: tuple[jax.Array, ...]) -> jax.Array:
    return lax.select_n(sector, *ways)

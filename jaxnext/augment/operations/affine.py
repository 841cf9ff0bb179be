"""Rotation, shear and translation: six coefficients in 16.16 fixed point, made on the host, and a gather.

Output pixel (x, y) shows the input pixel ``((a*x + b*y + c) >> 16, (d*x + e*y + f) >> 16)``, the nearest, or black
where that is outside, as ``Image.transform`` has it. ``c`` and ``f`` include the half pixel from corner to centre.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

Coefficients = tuple[int, int, int, int, int, int]

IDENTITY: Coefficients = (65536, 0, 32768, 0, 65536, 32768)


def rotation_coefficients(angle: float, image_size: tuple[int, int]) -> Coefficients:
    """Return the fixed-point map from output to input pixels of Pillow's ``Image.rotate(angle)``.

    Both roundings are Pillow's: sine and cosine to 15 decimals, the coefficients to the nearest 1/65536. At 0 and 180
    degrees, of a square also at 90 and 270, the map is the exact copy or transposition that Pillow makes there.

    Args:
        angle: Degrees, counter-clockwise.
        image_size: Height and width in pixels.
    """
    radians = -math.radians(angle % 360.0)
    cos, sin, minus_sin = (round(value, 15) for value in (math.cos(radians), math.sin(radians), -math.sin(radians)))
    center_y, center_x = image_size[0] / 2, image_size[1] / 2
    x_offset = cos * -center_x + sin * -center_y + center_x
    y_offset = minus_sin * -center_x + cos * -center_y + center_y
    return _fixed(cos, sin, x_offset, minus_sin, cos, y_offset)


def shear_coefficients(horizontal: float, vertical: float) -> Coefficients:
    """Return the map of torchvision's ``affine`` with one shear about the upper left corner.

    Args:
        horizontal: Pixels to the left for each pixel down; 0 where ``vertical`` is not.
        vertical: Pixels up for each pixel to the right.
    """
    # torchvision takes degrees, and so does what draws them; the way there and back is part of the rounding.
    along_x, along_y = (math.radians(math.degrees(math.atan(value))) for value in (horizontal, vertical))
    a = math.cos(-along_y) / math.cos(along_y)
    b = -math.cos(-along_y) * math.tan(along_x) / math.cos(along_y)
    c = math.sin(-along_y) / math.cos(along_y)
    d = -math.sin(-along_y) * math.tan(along_x) / math.cos(along_y) + 1.0
    return _fixed(d, -b, 0.0, -c, a, 0.0)


def translation_coefficients(right: int, down: int) -> Coefficients:
    """Return the map that moves an image by whole pixels."""
    return _fixed(1.0, 0.0, float(-right), 0.0, 1.0, float(-down))


def _fixed(a: float, b: float, c: float, d: float, e: float, f: float) -> Coefficients:
    def fixed(value: float) -> int:
        return math.floor(value * 65536.0 + 0.5)

    return fixed(a), fixed(b), fixed(c + a * 0.5 + b * 0.5), fixed(d), fixed(e), fixed(f + d * 0.5 + e * 0.5)


def transform(packed: jax.Array, affine: jax.Array) -> jax.Array:
    """Gather the nearest of ``[H, W]`` pixels by coefficients ``[6]``, int32; black outside."""
    height, width = packed.shape
    y, x = (lax.broadcasted_iota(jnp.int32, (height, width), axis) for axis in (0, 1))
    source_x = (affine[0] * x + affine[1] * y + affine[2]) >> 16
    source_y = (affine[3] * x + affine[4] * y + affine[5]) >> 16
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    index = jnp.where(inside, source_y * width + source_x, 0)
    pixels = packed.reshape(-1).at[index].get(mode="promise_in_bounds")
    return jnp.where(inside, pixels, jnp.uint32(0))
